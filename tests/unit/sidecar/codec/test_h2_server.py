"""The HTTP/2 server side without its socket: answers that nobody takes, and how a connection ends."""

from __future__ import annotations

from typing import Any

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_frames import PREFACE, frame
from sidecar.codec.h2_server import ServerConnection
from sidecar.config.http2_model import Http2, Keepalive
from sidecar.config.model import DirectResponse, PathMatch, Route, RouteMatch
from tests.harness.h2_ends import headers, parsed
from tests.harness.stage import ManualLoop, Stage, Wire, hcm

LARGE = Route(RouteMatch(PathMatch.PREFIX, "/"), DirectResponse(200, b"l" * 1000))
NO_WINDOW = frame(frames.SETTINGS, 0, 0, b"\0\4\0\0\0\0")


def connected(loop: ManualLoop, settings: bytes = NO_WINDOW, **fields: Any) -> tuple[ServerConnection, Wire, Stage]:
    stage = Stage(loop, hcm(LARGE, **fields))
    server = ServerConnection(stage.manager)
    wire = Wire(loop, server)  # type: ignore[arg-type]
    server.connection_made(wire)
    wire.sends(PREFACE + settings)
    loop.run_ready()
    wire.received()
    return server, wire, stage


def resets(wire: Wire) -> list[tuple[int, int]]:
    """Stream and code of each."""
    return [
        (number, int.from_bytes(payload))
        for kind, _, number, payload in parsed(wire.received())
        if kind == frames.RST_STREAM
    ]


async def test_an_answer_that_is_never_taken_is_given_up(loop: ManualLoop) -> None:
    server, wire, stage = connected(loop, stream_idle_timeout=5.0)
    wire.sends(headers(1) + headers(3))
    assert set(server.streams) == {1, 3}
    await stage.advance(4.0)
    wire.sends(frames.window_update(3, 10))
    await stage.advance(2.0)
    assert resets(wire) == [(1, frames.INTERNAL_ERROR)]
    assert set(server.streams) == {3}  # some of it was taken
    await stage.advance(5.2)
    assert resets(wire) == [(3, frames.INTERNAL_ERROR)]
    assert not server.streams
    assert stage.manager.http2_stats.tx_flush_timeout.value == 2
    assert not wire.lost


async def test_without_a_stream_idle_timeout_an_answer_waits(loop: ManualLoop) -> None:
    server, wire, stage = connected(loop, stream_idle_timeout=0.0)
    wire.sends(headers(1))
    await stage.advance(1000.0)
    assert set(server.streams) == {1}


async def test_what_follows_a_head_that_came_too_late_is_no_violation(loop: ManualLoop) -> None:
    server, wire, _ = connected(loop)
    wire.sends(headers(1))
    server.end_soon()
    wire.sends(
        headers(3, flags=frames.END_HEADERS)
        + frame(frames.DATA, 0, 3, b"late")
        + frames.window_update(3, 5)
        + frame(frames.RST_STREAM, 0, 3, b"\0\0\0\x08")
    )
    assert not server.ended
    assert set(server.streams) == {1}
    wire.sends(frames.window_update(1, 1000))
    assert b"l" * 1000 in wire.received()
    wire.sends(frame(frames.DATA, 0, 9, b"of none"))
    loop.run_ready()
    assert wire.lost


async def test_a_violation_ends_the_connection_at_once_where_nothing_is_to_be_waited_for(loop: ManualLoop) -> None:
    _, wire, _ = connected(loop, delayed_close_timeout=0.0)
    wire.sends(frame(frames.PING, 0, 1, b"12345678"))
    assert [kind for kind, *_ in parsed(wire.received())] == [frames.GOAWAY]
    loop.run_ready()
    assert wire.lost


async def test_a_client_that_does_not_take_the_reason_is_cut_off(loop: ManualLoop) -> None:
    _, wire, stage = connected(loop, delayed_close_timeout=0.0)
    wire.stops_reading()
    wire.sends(frame(frames.PING, 0, 1, b"12345678"))
    loop.run_ready()
    assert not wire.lost
    await stage.advance(1.2)
    assert wire.lost


PINGED = Http2(keepalive=Keepalive(5.0, 2.0, 0.0))


async def test_a_client_that_answers_pings_stays(loop: ManualLoop) -> None:
    _, wire, stage = connected(loop, http2=PINGED)
    for _ in range(3):
        await stage.advance(5.1)
        ((kind, _, _, data),) = parsed(wire.received())
        assert kind == frames.PING
        wire.sends(frame(frames.PING, frames.ACK, 0, data))
    assert not wire.lost


async def test_a_client_that_says_nothing_is_cut_off(loop: ManualLoop) -> None:
    _, wire, stage = connected(loop, http2=PINGED)
    wire.sends(headers(1))
    await stage.advance(6.0)
    assert not wire.lost
    await stage.advance(1.2)
    assert wire.lost
    assert stage.manager.http2_stats.keepalive_timeout.value == 1
    wire.received()
    await stage.advance(10.0)
    assert wire.received() == b""
