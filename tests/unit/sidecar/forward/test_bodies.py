"""Responses whose bodies the filters change or hold back: time, limits, and whoever leaves meanwhile."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

import pytest

from sidecar.config.compression_model import Compressor, Decompressor
from sidecar.config.filter_model import BufferBody
from sidecar.config.model import MILLION, AccessLog, DirectResponse, FaultConfig, HttpFilter, RetryPolicy
from sidecar.forward.observed import ObservedStream
from sidecar.forward.stream import Stream
from tests.harness.stage import ROUTE, ManualLoop, Stage, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"
SLOW = (HttpFilter("fault", FaultConfig(rate_kbps=1, rate_chance=MILLION)),)
ACTIVE = "http.test.fault.active_faults"


def slow(loop: ManualLoop, *routes: Any, clusters: Any = None, buffer_limit: int = 1 << 20, **fields: Any) -> Stage:
    config = hcm(*(routes or (forward(),)), filters=SLOW, **fields)
    return Stage(loop, config, clusters or (cluster(),), buffer_limit)


def sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def body_of(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


async def test_a_body_at_a_rate(loop: ManualLoop) -> None:
    stage = slow(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(sized(b"x" * 1024))
    assert stage.counter(ACTIVE) == 1
    got = body_of(client.received())
    assert len(got) == 51
    assert not stage.finished
    assert len(stage.cluster.hosts[0].pool.idle) == 1  # the upstream has done its part
    await stage.advance(0.5)
    got += client.received()
    assert 500 < len(got) < 620
    await stage.advance(0.5)
    got += client.received()
    assert got == b"x" * 1024
    (done,) = stage.finished
    assert done.bytes_sent == 1024
    assert stage.counter(ACTIVE) == 0
    client.sends(GET)
    upstream.sends(sized(b"y"))
    assert client.received().endswith(b"y")
    await stage.leaves_nothing()


async def test_where_nobody_changes_bodies_streams_are_plain(loop: ManualLoop) -> None:
    plain = HttpFilter("fault", FaultConfig(abort_status=503, abort_chance=MILLION))
    stage = Stage(loop, hcm(forward(), filters=(plain,)))
    client = stage.client()
    client.sends(GET)
    assert client.received().startswith(b"HTTP/1.1 503")
    assert type(stage.finished[0]) is Stream
    await stage.leaves_nothing()


@pytest.mark.parametrize(
    ("request_", "response", "head"),
    [
        (GET.replace(b"GET", b"HEAD"), b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n", b"content-length: 9000"),
        (GET, b"HTTP/1.1 204 No Content\r\n\r\n", b"204 No Content"),
        (GET, b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9000\r\n\r\n", b"content-length: 9000"),
        (GET, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"content-length: 0"),
    ],
)
async def test_what_has_no_body(loop: ManualLoop, request_: bytes, response: bytes, head: bytes) -> None:
    stage = slow(loop)
    client = stage.client()
    client.sends(request_)
    (await stage.upstream()).sends(response)
    got = client.received()
    assert head in got
    assert body_of(got) == b""
    assert len(stage.finished) == 1
    await stage.leaves_nothing()


async def test_chunks_and_their_end(loop: ManualLoop) -> None:
    stage = slow(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n" + b"x" * 64 + b"\r\n")
    upstream.sends(b"1\r\ny\r\n", b"0\r\n\r\n")
    await stage.advance(0.2)
    assert client.received().endswith(b"0\r\n\r\n")
    await stage.leaves_nothing()


async def test_a_reply_of_our_own(loop: ManualLoop) -> None:
    stage = slow(loop, replace(ROUTE, action=DirectResponse(200, b"z" * 300)))
    client = stage.client()
    client.sends(GET)
    assert len(body_of(client.received())) == 51
    await stage.advance(1.0)
    assert client.received().endswith(b"z")
    assert stage.finished[0].bytes_sent == 300
    await stage.leaves_nothing()


async def test_a_reply_to_a_request_that_still_comes(loop: ManualLoop) -> None:
    stage = slow(loop, replace(ROUTE, action=DirectResponse(200, b"z" * 300)), stream_idle_timeout=0.3)
    client = stage.client()
    client.sends(POST)
    client.sends(b"body")
    await stage.advance(1.0)
    assert client.received().endswith(b"z")
    assert stage.finished[0].bytes_received == 4
    await stage.leaves_nothing()


@pytest.mark.parametrize("side", ["client", "upstream"])
async def test_somebody_leaves(loop: ManualLoop, side: str) -> None:
    stage = slow(loop)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n" + b"x" * 1000)
    (client if side == "client" else upstream).resets()
    await stage.settle()
    assert len(stage.finished) == 1
    assert client.lost
    assert upstream.lost
    await stage.advance(1.0)
    assert stage.counter(ACTIVE) == 0
    await stage.leaves_nothing()


async def test_too_much_held_holds_back_the_upstream(loop: ManualLoop) -> None:
    stage = slow(loop, buffer_limit=500)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n" + b"x" * 600)
    assert upstream.waits
    upstream.sends(b"x" * 300)
    await stage.advance(0.2)
    assert upstream.waits
    await stage.advance(0.3)
    assert not upstream.waits
    await stage.advance(1.0)
    assert len(body_of(client.received())) == 900
    await stage.leaves_nothing()


async def test_a_client_that_does_not_read(loop: ManualLoop) -> None:
    stage = slow(loop, buffer_limit=500)
    client = stage.client(high=100, low=10)
    client.sends(GET)
    upstream = await stage.upstream()
    client.stops_reading()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n" + b"x" * 600)
    await stage.advance(2.0)
    assert upstream.waits  # it has room for more, and the client has not
    client.goes_on_reading()
    assert not upstream.waits
    upstream.sends(b"x" * 300)
    await stage.advance(1.0)
    assert len(body_of(client.received())) == 900
    await stage.leaves_nothing()


async def test_the_routes_time_is_over_with_the_upstreams_last_byte(loop: ManualLoop) -> None:
    stage = slow(loop, forward(timeout=0.5))
    client = stage.client()
    client.sends(GET)
    (await stage.upstream()).sends(sized(b"x" * 2048))
    await stage.advance(3.0)
    assert len(body_of(client.received())) == 2048
    assert stage.finished[0].flags == 0
    await stage.leaves_nothing()


async def test_with_retries_and_observers(loop: ManualLoop) -> None:
    log = AccessLog("stdout", text="%ROUNDTRIP_DURATION%", metered=True)
    retry = RetryPolicy(frozenset({"5xx"}), attempts=1)
    stage = slow(loop, forward(retry), access_logs=(log,), max_stream_duration=5.0)
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
    await stage.advance(0.1)
    upstream.sends(sized(b"x" * 300))
    await stage.advance(1.0)
    assert client.received().endswith(b"x")
    (done,) = stage.finished
    assert isinstance(done, ObservedStream)
    assert done.attempts == 2
    assert done.answered_all >= done.answered_first > 0.0
    await stage.leaves_nothing()


async def test_a_body_that_takes_too_long(loop: ManualLoop) -> None:
    stage = slow(loop, max_stream_duration=1.0)
    client = stage.client()
    client.sends(GET)
    (await stage.upstream()).sends(sized(b"x" * 9000))
    await stage.advance(1.1)
    assert client.lost
    assert stage.finished[0].details == "max_duration_timeout"
    await stage.leaves_nothing()


# ── bodies of requests ────────────────────────────────────────────────────────────────────────────────────────────────

PLAIN = b"plain " * 50
PACKED = gzip.compress(PLAIN)
UNPACK = HttpFilter("unpack", Decompressor("lib"))
DELAY = HttpFilter("delay", FaultConfig(delay=0.5, delay_chance=MILLION))
BUFFER = HttpFilter("buffer", BufferBody(100_000))


def packed(data: bytes = PACKED) -> tuple[bytes, bytes]:
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(data)
    return head + data[:10], data[10:]


def unchunked(data: bytes) -> bytes:
    out = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        if not int(size, 16):
            return out
        out, data = out + data[: int(size, 16)], data[int(size, 16) + 2 :]


@pytest.mark.parametrize("filters", [(UNPACK,), (DELAY, UNPACK), (UNPACK, DELAY)])
@pytest.mark.parametrize("waits", [0.0, 0.6])
async def test_a_request_is_changed_whenever_it_comes(loop: ManualLoop, filters: Any, waits: float) -> None:
    stage = Stage(loop, hcm(forward(), filters=filters))
    client = stage.client()
    first, rest = packed()
    client.sends(first)
    await stage.advance(waits)
    client.sends(rest)
    await stage.advance(0.6)
    upstream = await stage.upstream()
    head, _, body = upstream.received().partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"content-encoding" not in head
    assert b"content-length" not in head
    assert unchunked(body) == PLAIN
    upstream.sends(sized(b"ok"))
    assert stage.finished[0].bytes_received == len(PACKED)
    await stage.leaves_nothing()


@pytest.mark.parametrize("filters", [(UNPACK, BUFFER), (BUFFER, UNPACK)])
async def test_a_request_is_changed_and_buffered(loop: ManualLoop, filters: Any) -> None:
    stage = Stage(loop, hcm(forward(), filters=filters))
    client = stage.client()
    for piece in packed():
        client.sends(piece)
    upstream = await stage.upstream()
    head, _, body = upstream.received().partition(b"\r\n\r\n")
    assert (body if b"content-length: 300" in head else unchunked(body)) == PLAIN
    await stage.leaves_nothing()


async def test_a_changed_request_is_tried_again(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(RetryPolicy(frozenset({"5xx"}), attempts=1)), filters=(UNPACK,)))
    client = stage.client()
    client.sends(*packed())
    upstream = await stage.upstream()
    upstream.received()
    upstream.sends(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
    await stage.advance(0.1)
    assert unchunked(body_of(upstream.received())) == PLAIN
    upstream.sends(sized(b"ok"))
    assert client.received().endswith(b"ok")
    await stage.leaves_nothing()


async def test_a_compressed_response_is_chunked(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(), filters=(HttpFilter("gzip", Compressor("lib")),)))
    client = stage.client()
    client.sends(GET.replace(b"\r\n\r\n", b"\r\naccept-encoding: gzip\r\n\r\n"))
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 300\r\n\r\n" + PLAIN[:100], PLAIN[100:])
    head, _, body = client.received().partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert gzip.decompress(unchunked(body)) == PLAIN
    await stage.leaves_nothing()
