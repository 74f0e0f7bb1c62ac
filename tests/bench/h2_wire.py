"""HTTP/2 as both ends of the bench speak it (RFC 9113): frames taken apart and put together, and as little else as will do.

Header blocks are made ahead of time and hardly read, so that the load takes less of its core than the proxies of theirs.
"""

from __future__ import annotations

import asyncio
from struct import Struct

from sidecar.codec.h2_frames import (
    ACK,
    DATA,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD_SIZE,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    LARGEST_WINDOW,
    MAX_CONCURRENT_STREAMS,
    PING,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    STREAM_MASK,
    WINDOW_UPDATE,
    frame,
    head,
    ping,
    settings,
    window_update,
)

STREAMS_AT_ONCE = 1024  # that our upstream takes of a connection, and nginx too: nobody is to meet refusals
_HEAD = Struct(">HBBBL")
_CREDIT = 1 << 29  # bytes received until the connection's window is opened again
_PAYLOAD = b"x" * DEFAULT_FRAME_SIZE


class Frames(asyncio.Protocol):
    """One end of a connection. It acknowledges SETTINGS and PING, takes whatever comes, and sends bodies of `x` as far as
    the peer's windows go."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self._rest = b""
        self._received = 0
        self._window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        self._bodies: dict[int, int] = {}  # stream → bytes that are still to be sent
        self._windows: dict[int, int] = {}  # stream → the peer's window, while a body is being sent

    # ── what either end makes of it ───────────────────────────────────────────────────────────────────────────────────

    def on_block(self, stream: int, block: bytes, end: bool) -> None:
        """A head, or trailers."""
        raise NotImplementedError

    def on_data(self, stream: int, end: bool) -> None:
        raise NotImplementedError

    def on_reset(self, stream: int) -> None:
        raise NotImplementedError

    def on_goaway(self) -> None:
        """The peer is about to leave."""

    # ── the wire ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        said = ((INITIAL_WINDOW_SIZE, LARGEST_WINDOW), (MAX_CONCURRENT_STREAMS, STREAMS_AT_ONCE))
        self.out += settings(said), window_update(0, LARGEST_WINDOW - DEFAULT_WINDOW)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        while size - at >= HEAD_SIZE:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            start = at + HEAD_SIZE
            end = start + (high << 8 | low)
            if end > size:
                break
            if kind == DATA:
                self._received += end - start
                self.on_data(stream, flags & END_STREAM != 0)
            elif kind == HEADERS:
                if not flags & END_HEADERS:
                    raise AssertionError("a header block in several frames, which nothing here is large enough for")
                self.on_block(stream, data[start:end], flags & END_STREAM != 0)
            else:
                self._take(kind, flags, stream, data[start:end])
            at = end
        self._rest = data[at:]
        if self._received >= _CREDIT:
            self.out.append(window_update(0, self._received))
            self._received = 0
        self.flush()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == WINDOW_UPDATE:
            increment = int.from_bytes(payload) & STREAM_MASK
            if not stream:
                self._window += increment
            elif stream in self._windows:
                self._windows[stream] += increment
            self._send_bodies()
        elif kind == PING and not flags & ACK:
            self.out.append(ping(payload, ack=True))
        elif kind == RST_STREAM:
            self._bodies.pop(stream, None)
            self.on_reset(stream)
        elif kind == GOAWAY:
            self.on_goaway()

    def _take_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at : at + 2]) == INITIAL_WINDOW_SIZE:
                window = int.from_bytes(payload[at + 2 : at + 6])
                for stream in self._windows:
                    self._windows[stream] += window - self._initial_window
                self._initial_window = window
        self.out.append(SETTINGS_ACK)
        self._send_bodies()

    def send(self, stream: int, block: bytes, body: int = 0, *, end: bool = True) -> None:
        """A message: its head, and so many bytes."""
        flags = END_HEADERS | (END_STREAM if end and not body else 0)
        self.out.append(frame(HEADERS, flags, stream, block))
        if body:
            self._bodies[stream] = body
            self._windows[stream] = self._initial_window
            self._send_bodies()

    def _send_bodies(self) -> None:
        for stream in list(self._bodies):
            left, window = self._bodies[stream], self._windows[stream]
            while size := min(left, window, self._window, DEFAULT_FRAME_SIZE):
                left -= size
                window -= size
                self._window -= size
                self.out.append(head(size, DATA, 0 if left else END_STREAM, stream))
                self.out.append(_PAYLOAD[:size])
            if left:
                self._bodies[stream], self._windows[stream] = left, window
            else:
                del self._bodies[stream], self._windows[stream]

    def flush(self) -> None:
        if self.out:
            self.transport.write(b"".join(self.out))
            self.out.clear()


def literal(name: bytes, value: bytes, *, kept: bool = False) -> bytes:
    """A field for a header block whose name is spelled out; `kept`: it enters the peer's table (RFC 7541 §6.2)."""
    return bytes((0x40 if kept else 0x00, len(name))) + name + string(value)


def named(index: int, value: bytes, *, kept: bool = False) -> bytes:
    """A field whose name is the static table's entry `index`, which is below 15."""
    return bytes((index | (0x40 if kept else 0x00),)) + string(value)


def string(value: bytes) -> bytes:
    """As it is, without the Huffman code; shorter than 127 bytes."""
    return bytes((len(value),)) + value
