"""Requests and attempts that may only last so long."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import AccessLog, RetryPolicy, StreamDuration
from sidecar.forward.observed import ObservedStream
from sidecar.http.response_flags import flags_text
from tests.harness.stage import ManualLoop, Stage, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def of_route(loop: ManualLoop, seconds: float | None, **fields: Any) -> Stage:
    return Stage(loop, hcm(forward(duration=StreamDuration(seconds), timeout=0.0), **fields))


async def test_a_request_that_lasts_too_long(loop: ManualLoop) -> None:
    stage = of_route(loop, 1.0)
    client = stage.client()
    client.sends(GET)
    await stage.upstream()
    await stage.advance(0.9)
    assert client.received() == b""
    await stage.advance(0.2)
    assert client.received().startswith(b"HTTP/1.1 504")
    assert stage.finished[0].details == "max_duration_timeout"
    assert stage.counter("http.test.downstream_rq_max_duration_reached") == 1
    await stage.leaves_nothing()


async def test_a_request_that_does_not(loop: ManualLoop) -> None:
    stage = of_route(loop, 1.0)
    client = stage.client()
    client.sends(GET)
    (await stage.upstream()).sends(OK)
    await stage.advance(2.0)
    assert client.received().startswith(b"HTTP/1.1 200")
    assert not client.lost
    await stage.leaves_nothing()


async def test_the_route_lifts_the_bound_of_the_connection_manager(loop: ManualLoop) -> None:
    stage = of_route(loop, 0.0, max_stream_duration=1.0)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    await stage.advance(2.0)
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200")
    await stage.leaves_nothing()


async def test_the_bound_of_the_connection_manager(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(max_stream_duration=1.0))
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n")
    await stage.upstream()
    await stage.advance(1.1)
    assert client.received().startswith(b"HTTP/1.1 408")
    await stage.leaves_nothing()


async def test_a_response_that_lasts_too_long_is_cut(loop: ManualLoop) -> None:
    stage = of_route(loop, 1.0)
    client = stage.client()
    client.sends(GET)
    (await stage.upstream()).sends(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart")
    await stage.advance(1.1)
    assert client.lost
    assert stage.finished[0].details == "max_duration_timeout"
    await stage.leaves_nothing()


async def test_what_a_log_measures_is_not_lost(loop: ManualLoop) -> None:
    log = AccessLog("stdout", text="%ROUNDTRIP_DURATION%", metered=True)
    stage = of_route(loop, 5.0, access_logs=(log,))
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    await stage.advance(0.5)
    upstream.sends(OK)
    (exchange,) = stage.finished
    assert isinstance(exchange, ObservedStream)
    assert exchange.received_all > 0.0
    assert exchange.answered_first > exchange.sent_first > 0.0
    await stage.leaves_nothing()


# ── of one attempt ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_attempt_that_lasts_too_long_is_tried_again(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(RetryPolicy(frozenset({"reset"})))), (cluster(max_stream_duration=1.0),))
    client = stage.client()
    client.sends(GET)
    first = await stage.upstream()
    await stage.advance(1.5)
    assert first.lost
    (await stage.upstream()).sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200")
    assert stage.counter("cluster.up.upstream_rq_max_duration_reached") == 1
    await stage.leaves_nothing()


async def test_or_it_was_the_last(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward()), (cluster(max_stream_duration=1.0),))
    client = stage.client()
    client.sends(GET)
    await stage.upstream()
    await stage.advance(1.1)
    assert client.received().endswith(b"upstream max stream duration reached")
    (exchange,) = stage.finished
    assert (exchange.details, flags_text(exchange.flags)) == ("upstream_max_stream_duration_reached", "UMSDR")
    await stage.leaves_nothing()
