"""Copies of requests: what they are, and that the client is not held up by what becomes of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.config.model import Address, Cluster, Limits, Mirror, RetryPolicy
from tests.harness.stage import ManualLoop, Stage, Wire, assignment, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def copies(**fields: Any) -> Cluster:
    return replace(cluster(**fields), name="copies", assignment=assignment(Address("10.0.0.9", 80), name="copies"))


def stage_of(loop: ManualLoop, *, retry: RetryPolicy | None = None, buffer: int = 1 << 20, **fields: Any) -> Stage:
    route = forward(retry, mirrors=(Mirror("copies"),))
    return Stage(loop, hcm(route), (cluster(), copies(**fields)), buffer_limit=buffer)


async def begin(stage: Stage, data: bytes = GET) -> tuple[Wire, Wire, Wire]:
    """A request under way, with its copy: client, upstream, mirror."""
    client = stage.client()
    client.sends(data)
    upstream = await stage.upstream()
    return client, upstream, await stage.upstream()


async def test_a_copy_goes_on_its_own_way(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, upstream, mirror = await begin(stage, GET.replace(b"host: a", b"host: a:80\r\nx-forwarded-for: 1.2.3.4"))
    assert b"host: a:80\r\n" in upstream.received()
    copy = mirror.received()
    assert copy.startswith(b"GET / HTTP/1.1\r\nhost: a-shadow:80\r\n")
    assert b"x-envoy-internal: true\r\n" in copy
    assert b"x-forwarded-for: 1.2.3.4," in copy
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 OK")
    mirror.sends(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\nma")
    mirror.sends(b"ny")
    assert client.received() == b""
    assert stage.counter("cluster.copies.upstream_rq_503") == 1
    assert len(stage.finished) == 1
    await stage.leaves_nothing()


async def test_the_body_goes_to_both(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, upstream, mirror = await begin(stage, POST + b"ab")
    client.sends(b"cd")
    assert upstream.received().endswith(b"\r\n\r\nabcd")
    assert mirror.received().endswith(b"\r\n\r\nabcd")
    await stage.leaves_nothing()


async def test_a_copy_outlives_the_request(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, upstream, mirror = await begin(stage)
    upstream.sends(OK)
    client.resets()
    await stage.settle()
    mirror.sends(OK)
    assert stage.counter("cluster.copies.upstream_rq_200") == 1
    await stage.leaves_nothing()


async def test_a_copy_that_cannot_be_completed_is_given_up(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, _, mirror = await begin(stage, POST + b"ab")
    client.resets()
    await stage.settle()
    assert mirror.lost
    await stage.leaves_nothing()


async def test_a_copy_ends_with_the_time_out_of_the_route(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, upstream, mirror = await begin(stage)
    upstream.sends(OK)
    client.received()
    await stage.advance(15.1)
    assert stage.counter("cluster.copies.upstream_rq_timeout") == 1
    assert mirror.lost
    assert client.received() == b""
    await stage.leaves_nothing()


async def test_retries_are_not_copied(loop: ManualLoop) -> None:
    stage = stage_of(loop, retry=RetryPolicy(frozenset({"5xx"})))
    client, upstream, mirror = await begin(stage)
    upstream.sends(OK.replace(b"200", b"503"))
    await stage.advance(1.0)
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200")
    assert mirror.received().count(b"GET / ") == 1
    await stage.leaves_nothing()


@pytest.mark.parametrize("fields", [{"limits": Limits(max_requests=0)}, {"limits": Limits(max_pending=0)}])
async def test_limits_of_the_mirror_are_no_matter_of_the_client(loop: ManualLoop, fields: dict[str, Any]) -> None:
    stage = stage_of(loop, **fields)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200")
    await stage.leaves_nothing()


async def test_a_mirror_that_refuses_is_no_matter_of_the_client(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(POST)
    upstream = await stage.upstream()
    (await stage.dial()).refuses()
    await stage.settle()
    client.sends(b"body")
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200")
    assert stage.counter("cluster.copies.upstream_rq_503") == 1
    await stage.leaves_nothing()


async def test_a_mirror_that_is_slow_holds_the_client_back(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, _, mirror = await begin(stage, POST.replace(b"length: 4", b"length: 400000"))
    mirror.stops_reading()
    client.sends(b"x" * 100_000)
    assert client.waits
    mirror.goes_on_reading()
    assert not client.waits
    await stage.leaves_nothing()


async def test_a_mirror_that_is_not_reached_holds_only_so_much(loop: ManualLoop) -> None:
    stage = stage_of(loop, buffer=1000)
    client = stage.client()
    client.sends(POST.replace(b"length: 4", b"length: 4000"))
    await stage.upstream()
    client.sends(b"x" * 2000)
    assert client.waits
    mirror = await stage.upstream()
    assert not client.waits
    assert mirror.received().endswith(b"x" * 2000)
    await stage.leaves_nothing()


async def test_a_copy_that_is_not_to_be_sampled_needs_no_trace(loop: ManualLoop) -> None:
    route = forward(mirrors=(Mirror("copies", sampled=False),))
    stage = Stage(loop, hcm(route), (cluster(), copies()))
    _, upstream, mirror = await begin(stage)
    assert b"traceparent" not in mirror.received()
    upstream.sends(OK)
    await stage.leaves_nothing()


async def test_nothing_is_copied_of_a_request_that_is_answered_at_once(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(mirrors=(Mirror("copies"),))), (cluster(limits=Limits(max_requests=0)), copies()))
    client = stage.client()
    client.sends(GET)
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503 ")
    assert not loop.dials
    await stage.leaves_nothing()
