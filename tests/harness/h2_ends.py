"""Both ends of an HTTP/2 connection without sockets: a session of ours that notes what it is told, for `h2` to talk to, and
frames by hand."""

from __future__ import annotations

from typing import Any

import hpack

from sidecar.codec import h2_frames as frames
from sidecar.codec import h2_heads
from sidecar.codec.h2_frames import PROTOCOL_ERROR, STREAM_CLOSED, ProtocolViolation, frame
from sidecar.codec.h2_session import Session
from sidecar.codec.h2_stream import H2Stream
from sidecar.codec.hpack_decoder import Field
from sidecar.config.http2_model import Http2
from sidecar.http.headers import Headers
from sidecar.telemetry.stats import Http2Stats, Stats

MAX_HEAD = 60 * 1024
GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/")]
POST = [(b":method", b"POST"), *GET[1:]]
SMALL = Http2(initial_stream_window_size=65535, initial_connection_window_size=65535)


class NotingStream(H2Stream):
    """Keeps what it is told."""

    def __init__(self, session: NotingSession, number: int) -> None:
        super().__init__(session, number)
        self.head: Any = None
        self.body = b""
        self.trailers: Headers | None = None
        self.ended = False
        self.reset_by: tuple[int, str] | None = None
        self.held_up: list[bool] = []

    def on_body(self, data: bytes, end: bool) -> None:
        self.body += data
        self.ended = end

    def on_trailers(self, trailers: Headers) -> None:
        self.trailers = trailers
        self.ended = True

    def on_reset(self, code: int, detail: str) -> None:
        self.reset_by = code, detail

    def on_lost(self, detail: str) -> None:
        self.reset_by = -1, detail

    def on_blocked(self) -> None:
        self.held_up.append(True)

    def on_ready(self) -> None:
        self.held_up.append(False)


class NotingSession(Session):
    """Keeps every stream that it ever had in `seen`."""

    def __init__(self, options: Http2 | None = None, *, server: bool) -> None:
        static = h2_heads.REQUEST_STATIC if server else h2_heads.RESPONSE_STATIC
        self.registry = Stats()
        super().__init__(options or Http2(), Http2Stats(self.registry, ""), static, server=server, max_head=MAX_HEAD)
        self.seen: dict[int, NotingStream] = {}
        self.violation: ProtocolViolation | None = None
        self.goaways: list[tuple[int, int]] = []
        self.pongs: list[bytes] = []
        self.refused_heads = 0

    def open(self, number: int) -> NotingStream:
        stream = NotingStream(self, number)
        self.streams[number] = self.seen[number] = stream
        self.floods.streams += 1
        return stream

    def take(self) -> bytes:
        """What is to be sent; as if the peer had taken it."""
        data = b"".join(self.out)
        self.out.clear()
        self.floods.flushed()
        return data

    def on_head(self, number: int, fields: list[Field], end: bool) -> None:
        if self.server:
            self._on_request(number, fields, end)
        else:
            stream = self.seen[number]
            stream.head = h2_heads.response(fields)
            self._ended(stream, end)

    def _on_request(self, number: int, fields: list[Field], end: bool) -> None:
        if not number % 2:
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.invalid_stream_id")
        if number <= self.last_peer_stream:
            if self.was_reset(number):
                return
            raise ProtocolViolation(STREAM_CLOSED, "http2.stream_closed")
        self.last_peer_stream = number
        stream = self.open(number)
        if self.decoder.oversized:
            self.refused_heads += 1
            stream.abort(PROTOCOL_ERROR)
            return
        try:
            stream.head = h2_heads.request(fields)
        except h2_heads.MalformedError as error:
            raise self.malformed(stream, str(error)) from error
        stream.body_left = h2_heads.length_of(stream.head.hop_headers)
        self._ended(stream, end)

    def _ended(self, stream: NotingStream, end: bool) -> None:
        if end:
            stream.remote_end()
            stream.ended = True

    def awaits_head(self, stream: H2Stream) -> bool:
        return not self.server and self.seen[stream.number].head is None

    def is_known(self, number: int) -> bool:
        return bool(number % 2) and number <= (self.last_peer_stream if self.server else max(self.seen, default=0))

    def on_goaway(self, last_stream: int, code: int) -> None:
        self.goaways.append((last_stream, code))

    def on_pong(self, data: bytes) -> None:
        self.pongs.append(data)

    def on_violation(self, violation: ProtocolViolation) -> None:
        self.violation = violation


def server(options: Http2 | None = None) -> NotingSession:
    """With a client that has said its SETTINGS, and was answered."""
    session = NotingSession(options, server=True)
    session.begin()
    session.receive(frame(frames.SETTINGS, 0, 0))
    session.take()
    return session


def block(fields: Headers) -> bytes:
    return hpack.Encoder().encode(fields, huffman=False)


def headers(number: int, fields: Headers = GET, flags: int = frames.END_HEADERS | frames.END_STREAM) -> bytes:
    return frame(frames.HEADERS, flags, number, block(fields))


def parsed(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each frame."""
    found = []
    while data:
        length = int.from_bytes(data[:3])
        found.append((data[3], data[4], int.from_bytes(data[5:9]), data[9 : 9 + length]))
        data = data[9 + length :]
    return found
