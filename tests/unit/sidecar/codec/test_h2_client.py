"""The HTTP/2 client side without its socket: one connection to a host, told from the pool's and the stream's side."""

from __future__ import annotations

from typing import Any

import hpack
import pytest

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_client import ClientConnection
from sidecar.codec.h2_frames import PREFACE, frame
from sidecar.codec.h2_upstream import ClientStream
from sidecar.config.http2_model import Http2, Keepalive
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Headers
from sidecar.http.streams import ResetReason
from sidecar.process.timers import Deadlines
from tests.harness.h2_ends import parsed
from tests.harness.stage import ManualLoop, Wire
from tests.unit.sidecar.codec.test_h1_client import Pool, Stream

BOTH = frames.END_HEADERS | frames.END_STREAM


class Tunnel(Stream):
    """Takes the host's word for an upgrade."""

    def __init__(self, upstream: ClientStream) -> None:
        super().__init__()
        self._upstream = upstream

    def on_switching(self, head: ResponseHead) -> None:
        self.told.append(head.status)
        self._upstream.tunnel(self)  # type: ignore[arg-type]


def connected(loop: ManualLoop, options: Http2 | None = None) -> tuple[ClientConnection, Wire]:
    """A connection whose host has said its SETTINGS."""
    client = ClientConnection(
        Pool(),
        options or Http2(),
        loop,  # type: ignore[arg-type]
        max_requests=0,
        idle_timeout=0.0,
        deadlines=Deadlines(loop, 0.1),  # type: ignore[arg-type]
    )
    wire = Wire(loop, client)  # type: ignore[arg-type]
    client.connection_made(wire)
    wire.sends(frame(frames.SETTINGS, 0, 0))
    loop.run_ready()
    assert wire.received().startswith(PREFACE)
    return client, wire


def ask(
    stream: ClientStream, handler: Stream, *, end: bool = True, authority: bytes = b"a", upgrade: bytes = b""
) -> None:
    head = RequestHead(b"GET" if end else b"POST", b"/", [], {}, {})
    head.authority, head.upgrade, head.scheme = authority, upgrade, b"http"
    stream.send(handler, head, 0 if end else -1, b"", end)  # type: ignore[arg-type]


def answer(number: int, fields: Headers, flags: int = BOTH) -> bytes:
    return frame(frames.HEADERS, flags, number, hpack.Encoder().encode(fields, huffman=False))


def kinds(wire: Wire) -> list[int]:
    return [kind for kind, *_ in parsed(wire.received())]


async def test_many_small_pieces_in_a_turn_do_not_end_the_connection(loop: ManualLoop) -> None:
    client, wire = connected(loop)
    stream = client.take()
    ask(stream, Stream(), end=False)
    for _ in range(26_000):
        stream.write(b"d", False)
    loop.run_ready()
    sent = parsed(wire.received())
    assert sum(len(payload) for kind, _, _, payload in sent if kind == frames.DATA) == 26_000
    assert len(sent) < 30
    wire.sends(frame(frames.PING, 0, 0, b"12345678"))
    assert kinds(wire) == [frames.PING]


async def test_frames_that_the_host_does_not_take_end_the_connection(loop: ManualLoop) -> None:
    client, wire = connected(loop, Http2(max_outbound_frames=20))
    wire.stops_reading()
    stream, handler = client.take(), Stream()
    ask(stream, handler, end=False)
    for _ in range(30):
        stream.write(b"d" * 1024, False)
    loop.run_ready()
    assert handler.told == [ResetReason.PROTOCOL_ERROR.value]
    assert not wire.lost
    loop.advance(1.1)
    assert wire.lost  # though the reason could not be told


async def test_an_authority_with_a_user_fails_its_own_request_alone(loop: ManualLoop) -> None:
    client, wire = connected(loop)
    other, user = Stream(), Stream()
    ask(client.take(), other)
    ask(client.take(), user, authority=b"user@svc")
    loop.run_ready()
    assert user.told == [ResetReason.PROTOCOL_ERROR.value]
    assert kinds(wire) == [frames.HEADERS]
    wire.sends(answer(1, [(b":status", b"200")]))
    assert other.told == [(200, 0, b"", True)]


@pytest.mark.parametrize("trailers", [False, True])
async def test_what_ends_a_tunnel(loop: ManualLoop, trailers: bool) -> None:
    client, wire = connected(loop, Http2(allow_connect=True))
    stream = client.take()
    handler = Tunnel(stream)
    ask(stream, handler, end=False, upgrade=b"websocket")
    ok = [(b":status", b"200")]
    if trailers:
        wire.sends(answer(1, ok, frames.END_HEADERS), answer(1, [(b"x-sum", b"1")]))
    else:
        wire.sends(answer(1, ok))
    assert handler.told == [101, (b"", True, *([(b"x-sum", b"1")] if trailers else []))]
    assert stream.closed
    assert not client.streams


async def test_only_our_own_ping_comes_back_as_a_sign_of_life(loop: ManualLoop) -> None:
    _, wire = connected(loop, Http2(keepalive=Keepalive(5.0, 2.0, 0.0)))
    loop.advance(5.0)
    asked = parsed(wire.received())
    assert [kind for kind, *_ in asked] == [frames.PING]
    wire.sends(frame(frames.PING, frames.ACK, 0, asked[0][3]))
    loop.advance(5.0)
    assert kinds(wire) == [frames.PING]
    wire.sends(frame(frames.PING, frames.ACK, 0, b"whatever"))
    loop.advance(2.1)
    assert wire.lost


async def test_whatever_comes_puts_off_the_end(loop: ManualLoop) -> None:
    _, wire = connected(loop, Http2(keepalive=Keepalive(5.0, 2.0, 0.0)))
    loop.advance(6.0)
    wire.sends(frames.window_update(0, 1))
    loop.advance(1.9)
    assert not wire.lost
    loop.advance(0.2)
    assert wire.lost


async def test_a_stream_after_a_silence_is_preceded_by_a_ping(loop: ManualLoop) -> None:
    client, wire = connected(loop, Http2(keepalive=Keepalive(0.0, 2.0, 0.0, idle_interval=10.0)))
    ask(client.take(), Stream(), end=False)
    loop.run_ready()
    assert kinds(wire) == [frames.HEADERS]
    loop.advance(10.0)
    for expected in ([frames.PING, frames.HEADERS], [frames.HEADERS]):  # one is out at a time
        ask(client.take(), Stream(), end=False)
        loop.run_ready()
        assert kinds(wire) == expected
    loop.advance(2.1)
    assert wire.lost


async def test_an_exception_while_reading_leaves_the_other_connections_their_flush(
    loop: ManualLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, wire = connected(loop)
    _, other = connected(loop)

    def fail(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(client, "_on_frame", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        wire.sends(frame(frames.PING, 0, 0, b"12345678"))
    assert not client._reading
    other.protocol.send_ping(b"later on")  # type: ignore[attr-defined]
    loop.run_ready()
    assert kinds(other) == [frames.PING]
