"""Attempts beside each other: who wins, and that nothing is left of the others."""

from __future__ import annotations

import pytest

from sidecar.config.model import Address, Limits, RetryPolicy
from tests.harness.stage import ManualLoop, Stage, Wire, assignment, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD = OK.replace(b"200", b"503")
UNLIMITED = Limits()


def stage_of(loop: ManualLoop, attempts: int = 1, limits: Limits = UNLIMITED, timeout: float = 15.0) -> Stage:
    policy = RetryPolicy(frozenset({"5xx"}), attempts=attempts, per_try_timeout=1.0)
    return Stage(loop, hcm(forward(policy, hedges=True, timeout=timeout)), (cluster(limits=limits),))


async def both(stage: Stage) -> tuple[Wire, Wire, Wire]:
    """Client, the attempt that takes too long, the one beside it."""
    client = stage.client()
    client.sends(GET)
    first = await stage.upstream()
    await stage.advance(1.5)
    assert not first.lost
    return client, first, await stage.upstream()


async def test_the_first_answer_counts(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, first, second = await both(stage)
    first.sends(OK)
    await stage.settle()
    assert client.received().endswith(b"ok")
    assert second.lost
    assert stage.counter("cluster.up.upstream_rq_active") == 0
    await stage.leaves_nothing()


async def test_of_either_attempt(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, first, second = await both(stage)
    second.sends(OK)
    await stage.settle()
    assert client.received().endswith(b"ok")
    assert first.lost
    await stage.leaves_nothing()


async def test_a_body_that_comes_in_pieces(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, first, _ = await both(stage)
    first.sends(OK[:-1])
    first.sends(OK[-1:])
    assert client.received().endswith(b"ok")
    assert not first.lost
    await stage.leaves_nothing()


@pytest.mark.parametrize("bad_first", [True, False])
async def test_a_bad_answer_waits_for_the_other(loop: ManualLoop, bad_first: bool) -> None:
    stage = stage_of(loop)
    client, first, second = await both(stage)
    bad, good = (first, second) if bad_first else (second, first)
    bad.sends(BAD)
    assert client.received() == b""
    good.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200")
    await stage.leaves_nothing()


async def test_the_last_bad_answer_counts(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, first, second = await both(stage)
    second.sends(BAD)
    first.sends(BAD)
    assert client.received().startswith(b"HTTP/1.1 503")
    await stage.leaves_nothing()


async def test_attempts_may_end(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, first, second = await both(stage)
    first.ends()
    await stage.settle()
    assert client.received() == b""
    second.ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503")
    await stage.leaves_nothing()


async def test_in_the_other_order_too(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, first, second = await both(stage)
    second.ends()
    await stage.settle()
    assert client.received() == b""
    first.ends()
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 503")
    await stage.leaves_nothing()


async def test_time_may_end_them_all(loop: ManualLoop) -> None:
    stage = stage_of(loop, timeout=3.0)
    client, first, second = await both(stage)
    await stage.advance(2.0)
    assert client.received().startswith(b"HTTP/1.1 504")
    assert first.lost
    assert second.lost
    assert stage.counter("cluster.up.upstream_rq_timeout") == 2
    await stage.leaves_nothing()


async def test_the_client_may_leave(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client, first, second = await both(stage)
    client.resets()
    await stage.settle()
    assert first.lost
    assert second.lost
    await stage.leaves_nothing()


async def test_an_answer_during_the_back_off(loop: ManualLoop) -> None:
    stage = stage_of(loop)
    client = stage.client()
    client.sends(GET)
    first = await stage.upstream()
    loop.advance(1.0005)  # the time per try is over, the back-off has begun
    first.sends(OK)
    assert client.received().endswith(b"ok")
    assert stage.counter("cluster.up.upstream_rq_total") == 1
    await stage.leaves_nothing()


async def test_without_retries_left_the_attempt_goes_on(loop: ManualLoop) -> None:
    stage = stage_of(loop, attempts=0)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    await stage.advance(2.0)
    upstream.sends(OK)
    assert client.received().endswith(b"ok")
    await stage.leaves_nothing()


async def test_a_limit_may_leave_no_room_beside_it(loop: ManualLoop) -> None:
    stage = stage_of(loop, limits=Limits(max_requests=1))
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    await stage.advance(2.0)
    assert client.received() == b""
    upstream.sends(OK)
    assert client.received().endswith(b"ok")
    await stage.leaves_nothing()


async def test_hosts_are_given_back(loop: ManualLoop) -> None:
    hosts = assignment(Address("10.0.0.1", 80), Address("10.0.0.2", 80))
    policy = RetryPolicy(frozenset({"5xx"}), attempts=3, per_try_timeout=1.0, avoid_previous_hosts=True)
    stage = Stage(loop, hcm(forward(policy, hedges=True)), (cluster(assignment=hosts),))
    client, _, second = await both(stage)
    second.sends(OK)
    assert client.received().endswith(b"ok")
    assert [host.active for host in stage.cluster.hosts] == [0, 0]
    await stage.leaves_nothing()
