"""Time-outs of one attempt, and what the answer is when time is up."""

from __future__ import annotations

import pytest

from sidecar.config.model import RetryPolicy
from sidecar.http.response_flags import flags_text
from tests.harness.stage import ManualLoop, Stage, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def stage_of(
    loop: ManualLoop, *conditions: str, per_try: float = 0.0, idle: float = 0.0, timeout: float = 15.0
) -> Stage:
    policy = RetryPolicy(frozenset(conditions), per_try_timeout=per_try, per_try_idle_timeout=idle)
    return Stage(loop, hcm(forward(policy, timeout=timeout)))


async def test_an_idle_attempt_is_tried_again(loop: ManualLoop) -> None:
    stage = stage_of(loop, "5xx", idle=0.5)
    client = stage.client()
    client.sends(GET)
    first = await stage.upstream()
    await stage.advance(0.4)
    assert not first.lost
    await stage.advance(0.2)
    assert first.lost
    second = await stage.upstream()
    second.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200")
    assert stage.counter("cluster.up.upstream_rq_per_try_idle_timeout") == 1
    await stage.leaves_nothing()


async def test_bytes_keep_an_attempt_alive(loop: ManualLoop) -> None:
    stage = stage_of(loop, idle=0.5)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    await stage.advance(0.4)
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
    for _ in range(3):
        await stage.advance(0.4)
        upstream.sends(b"x")
    assert client.received().endswith(b"\r\n\r\nxxx")
    assert loop.timers == [] or stage.counter("cluster.up.upstream_rq_per_try_idle_timeout") == 0
    await stage.leaves_nothing()


async def test_a_response_that_stops_is_cut(loop: ManualLoop) -> None:
    stage = stage_of(loop, "5xx", idle=0.5, per_try=0.3)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nx")
    await stage.advance(0.4)
    assert not client.lost
    await stage.advance(0.2)
    assert client.lost
    (exchange,) = stage.finished
    assert (exchange.details, flags_text(exchange.flags)) == ("upstream_per_try_idle_timeout", "UT")
    await stage.leaves_nothing()


@pytest.mark.parametrize(("per_try", "details"), [(0.5, "upstream_per_try_timeout"), (1.0, "response_timeout")])
async def test_a_time_per_try_counts_without_retries(loop: ManualLoop, per_try: float, details: str) -> None:
    stage = stage_of(loop, per_try=per_try, timeout=1.0)
    client = stage.client()
    client.sends(GET)
    await stage.upstream()
    await stage.advance(1.1)
    assert client.received().startswith(b"HTTP/1.1 504")
    assert stage.finished[0].details == details
    await stage.leaves_nothing()


async def test_a_body_too_big_to_send_again_keeps_its_time_per_try(loop: ManualLoop) -> None:
    stage = stage_of(loop, "5xx", per_try=0.5)
    stage.manager.buffer_limit = 10
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n")
    await stage.upstream()
    client.sends(b"x" * 20)
    await stage.advance(0.6)
    assert client.received().startswith(b"HTTP/1.1 504")
    assert stage.counter("cluster.up.retry_or_shadow_abandoned") == 1
    await stage.leaves_nothing()


async def test_time_outs_are_counted_for_the_host(loop: ManualLoop) -> None:
    stage = stage_of(loop, "5xx", per_try=0.5, timeout=0.8)
    client = stage.client()
    client.sends(GET)
    await stage.upstream()
    await stage.advance(0.6)
    (host,) = stage.cluster.hosts
    assert host.rq_timeout == 1
    await stage.upstream()
    await stage.advance(0.5)
    assert host.rq_timeout == 2
    assert client.received().startswith(b"HTTP/1.1 504 ")
    assert stage.cluster.active_requests == 0
    await stage.leaves_nothing()
