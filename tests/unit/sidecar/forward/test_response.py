"""Back to the client: heads, bodies, and who waits for whom."""

from __future__ import annotations

import gc

import pytest

from sidecar.config.model import RetryPolicy
from sidecar.forward import Stream
from tests.harness.stage import ManualLoop, Stage, Wire, cluster, forward, hcm

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def exchange(stage: Stage, request: bytes = GET, **limits: int) -> tuple[Wire, Wire]:
    client = stage.client(**limits)
    client.sends(request)
    upstream = await stage.upstream()
    upstream.received()
    return client, upstream


@pytest.mark.parametrize(
    ("response", "head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"content-length: 5", b"hello"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"transfer-encoding: chunked",
            b"",
        ),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", b"content-length: 5", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"content-length: 2", b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 5000 + OK, b"content-length: 2", b"ok"),
    ],
)
async def test_a_response_passes(loop: ManualLoop, response: bytes, head: bytes, body: bytes) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage)
    upstream.sends(response)
    got, _, rest = client.received().partition(b"\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 " + response.rpartition(b"HTTP/1.1 ")[2][:3])
    assert head in got.split(b"\r\n")
    assert rest == (body or response.partition(b"\r\n\r\n")[2])
    assert len(stage.cluster.hosts[0].pool.idle) == 1
    await stage.leaves_nothing()


async def test_no_content_has_no_length(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage)
    upstream.sends(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
    assert b"content-length" not in client.received()
    await stage.leaves_nothing()


async def test_head_has_a_length_and_no_body(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage, b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n")
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n")
    assert b"content-length: 5000\r\n" in client.received()
    assert len(stage.cluster.hosts[0].pool.idle) == 1
    await stage.leaves_nothing()


@pytest.mark.parametrize("end", ["ends", "resets"])
async def test_a_body_without_a_length_ends_with_the_connection(loop: ManualLoop, end: str) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage)
    upstream.sends(b"HTTP/1.1 200 OK\r\n\r\nall")
    getattr(upstream, end)()
    await stage.settle()
    assert client.received().endswith(b"\r\n\r\n3\r\nall\r\n0\r\n\r\n")
    assert not client.closing
    await stage.leaves_nothing()


async def test_an_http_1_0_client_gets_a_body_until_close(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(accept_http_10=True))
    client, upstream = await exchange(stage, b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n")
    upstream.sends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nall\r\n0\r\n\r\n")
    got = client.received()
    assert got.startswith(b"HTTP/1.0 200 OK\r\n")
    assert got.endswith(b"\r\n\r\nall")
    await stage.settle()
    assert client.lost
    await stage.leaves_nothing()


async def test_a_response_that_comes_before_the_request_is_sent(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage, b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf")
    upstream.sends(OK)
    assert b"connection: close\r\n" in client.received()
    client.sends(b"other")
    await stage.settle()
    assert upstream.lost  # its request was never complete: nobody may use it again
    await stage.advance(1.1)
    assert client.lost
    await stage.leaves_nothing()


async def test_bytes_behind_a_response_end_the_connection(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage)
    upstream.sends(OK + b"HTTP/1.1 200 smuggled\r\n\r\n")
    await stage.settle()
    assert upstream.lost
    assert b"smuggled" not in client.received()
    await stage.leaves_nothing()


# ── flow control ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_slow_client_holds_up_its_upstream(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage)
    client.stops_reading()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n", b"x" * 100_000, b"x" * 100_000)
    assert upstream.unread == 100_000
    client.goes_on_reading()
    await stage.settle()
    assert client.received().endswith(b"x" * 200_000)
    await stage.leaves_nothing()


async def test_a_slow_client_s_next_request_waits_until_it_has_read(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage)
    client.stops_reading()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000)
    client.sends(GET)
    assert upstream.received() == b""  # else its response would pile up on this one, without end
    client.goes_on_reading()
    assert upstream.received().startswith(b"GET / ")
    upstream.sends(OK)
    assert client.received().endswith(b"\r\n\r\nok")
    await stage.leaves_nothing()


async def test_a_connection_goes_back_to_the_pool_unpaused(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage)
    client.stops_reading()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n", b"x" * 200_000)
    assert not upstream.waits
    other = stage.client()
    other.sends(GET)
    upstream.sends(OK)
    assert other.received().endswith(b"\r\n\r\nok")
    await stage.leaves_nothing()


async def test_a_client_that_never_reads_is_cut_off_after_the_response(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(idle_timeout=5.0, drain_timeout=1.0))
    client, upstream = await exchange(stage)
    client.stops_reading()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b"x" * 100_000)
    await stage.advance(6.3)
    assert client.closing
    assert not client.lost
    await stage.advance(2.2)
    assert client.lost
    assert stage.counter("http.test.downstream_cx_delayed_close_timeout") == 1
    await stage.leaves_nothing()


async def test_a_client_that_reads_slowly_gets_everything(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client, upstream = await exchange(stage, b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    client.stops_reading()
    upstream.sends(b"HTTP/1.1 200 OK\r\ncontent-length: 50000\r\n\r\n" + b"x" * 50_000)
    for _ in range(5):
        await stage.advance(0.8)
        client.takes(1000)
        assert not client.lost
    client.goes_on_reading()
    await stage.settle()
    assert client.lost
    assert client.received().endswith(b"x" * 50_000)
    await stage.leaves_nothing()


async def test_an_idle_stream_ends(loop: ManualLoop) -> None:
    stage = Stage(loop, hcm(forward(timeout=0.0), stream_idle_timeout=3.0))
    client, upstream = await exchange(stage)
    upstream.sends(OK[:-1])
    await stage.advance(3.2)
    assert client.closing
    assert upstream.lost
    assert [exchange.details for exchange in stage.finished] == ["stream_idle_timeout"]
    await stage.leaves_nothing()


# ── retries on a status ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("complete", [True, False])
async def test_a_response_that_is_not_wanted_is_not_passed_on(loop: ManualLoop, complete: bool) -> None:
    retry = RetryPolicy(frozenset({"5xx"}))
    stage = Stage(loop, hcm(forward(retry)), clusters=[cluster()])
    client, upstream = await exchange(stage)
    upstream.sends(b"HTTP/1.1 503 No\r\ncontent-length: 4\r\n\r\n" + (b"body" if complete else b"bo"))
    assert client.received() == b""
    await stage.advance(1.0)
    second = upstream if complete else await stage.upstream()
    assert upstream.lost is not complete
    assert second.received().startswith(b"GET / ")
    second.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.leaves_nothing()


@pytest.mark.parametrize("ending", ["answered", "refused", "reset", "client gone"])
async def test_no_cycle_keeps_a_finished_request(loop: ManualLoop, ending: str) -> None:
    stage = Stage(loop, hcm(forward(RetryPolicy(frozenset({"connect-failure"}), attempts=1))))
    client = stage.client()
    gc.collect()
    gc.disable()
    try:
        client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody")
        if ending == "refused":
            for _ in range(2):
                (await stage.dial()).refuses()
                await stage.advance(1.0)
        else:
            upstream = await stage.upstream()
            {"answered": lambda: upstream.sends(OK), "reset": upstream.resets, "client gone": client.resets}[ending]()
            await stage.settle()
        assert len(stage.finished) == 1
        stage.finished.clear()
        assert [found for found in gc.get_objects() if isinstance(found, Stream)] == []
    finally:
        gc.enable()
    await stage.leaves_nothing()
