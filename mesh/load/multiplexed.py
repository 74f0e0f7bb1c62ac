"""A client's HTTP/2 connections to one origin, by prior knowledge (RFC 9113 §3.3); gRPC's unary calls over them. Needs h2.

A connection carries as many requests at a time as its peer allows; another is opened only when all are full.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from functools import lru_cache
from time import monotonic
from typing import Any

from mesh.errors import MeshError
from mesh.load.connection import CLOSED, CONNECT, CONNECT_SECONDS, PROTOCOL, RESET, TIMEOUT, Done, Exchange
from mesh.load.template import Origin
from mesh.tasks import TaskOwner

try:
    import h2.config
    import h2.connection
    import h2.errors
    import h2.events
    import h2.exceptions
    import h2.settings
except ImportError as missing:
    raise MeshError("HTTP/2 needs the package h2: pip install 'asyncmesh[experiments]'") from missing

MOST_STREAMS = 100  # at a time on a connection, where the peer allows more
WINDOW = 1 << 24
GRPC_HEADERS = ((b"content-type", b"application/grpc"), (b"te", b"trailers"))

Headers = tuple[tuple[bytes, bytes], ...]


class Answer:
    """What came back on one stream: as a `Response` of HTTP/1.1, for those who record it."""

    __slots__ = ("_lines", "grpc_status", "reusable", "size", "status")

    def __init__(self) -> None:
        self.status = 0
        self.size = 0
        self.reusable = True
        self.grpc_status = b""
        self._lines: list[bytes] = []

    def headers(self, found: list[tuple[bytes, bytes]]) -> None:
        for name, value in found:
            if name == b":status":
                self.status = int(value)
            elif name == b"grpc-status":
                self.grpc_status = value
            else:
                self._lines.append(b"\r\n%b: %b" % (name, value))

    @property
    def head(self) -> bytes:
        return b"".join(self._lines) + b"\r\n"


@lru_cache(maxsize=1024)
def message(data: bytes, grpc: bool) -> tuple[Headers, bytes]:
    """A rendered HTTP/1.1 request as header fields and body. A gRPC body is one message; its text stands for bytes."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    method, target, _ = line.split(b" ")
    if b"://" in target:
        target = b"/" + target.split(b"://", 1)[1].partition(b"/")[2]
    pairs = [tuple(field.split(b": ", 1)) if b": " in field else (field.rstrip(b":"), b"") for field in fields]
    authority = next((value for name, value in pairs if name == b"host"), b"")
    kept = [(name, value) for name, value in pairs if name not in (b"host", b"content-length", b"connection")]
    if grpc:
        content = body.decode().encode("latin-1", "replace")
        method, body = b"POST", struct.pack(">BI", 0, len(content)) + content
        names = {name for name, _ in kept}
        kept += [field for field in GRPC_HEADERS if field[0] not in names]
    elif body:
        kept.append((b"content-length", b"%d" % len(body)))
    start = ((b":method", method), (b":scheme", b"http"), (b":authority", authority), (b":path", target))
    return (*start, *kept), body


class Connection(asyncio.Protocol):
    """Belongs to a pool, which hears of every end."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        config = h2.config.H2Configuration(header_encoding=None, validate_inbound_headers=False)
        self._codec = h2.connection.H2Connection(config)
        self.transport: asyncio.Transport | None = None
        self.exchanges: dict[int, Exchange] = {}
        self._unsent: dict[int, bytes] = {}
        self.leaving = False

    @property
    def free(self) -> bool:
        """Whether one more request has place."""
        if self.leaving or self.transport is None or self.transport.is_closing():
            return False
        allowed = min(MOST_STREAMS, self._codec.remote_settings.max_concurrent_streams)
        return len(self.exchanges) < allowed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._codec.initiate_connection()
        self._codec.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW})
        self._codec.increment_flow_control_window(WINDOW)
        self._flush()

    def send(self, exchange: Exchange, now: float) -> None:
        headers, body = message(exchange.data, self._pool.grpc)
        number = self._codec.get_next_available_stream_id()
        exchange.sent = now
        exchange.response = Answer()  # type: ignore[assignment]  # what is recorded of both is the same
        self.exchanges[number] = exchange
        self._codec.send_headers(number, headers, end_stream=not body)
        if body:
            self._unsent[number] = body
            self._send_body(number)
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._codec.receive_data(data):
                self._handle(event)
        except (h2.exceptions.ProtocolError, ValueError):
            self.fail(PROTOCOL)
            return
        self._flush()
        self._pool.next(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._pool.gone(self)
        self._end_all(CLOSED if error is None else RESET)

    def fail(self, reason: str) -> None:
        """Ends the connection and all that is under way on it."""
        self.leaving = True
        self._end_all(reason)
        if self.transport is not None:
            self.transport.abort()

    def overdue(self, before: float) -> None:
        for number in [number for number, each in self.exchanges.items() if each.due < before]:
            self._codec.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            self._end(number, TIMEOUT)
        self._flush()

    def _handle(self, event: Any) -> None:
        number = getattr(event, "stream_id", 0) or 0
        exchange = self.exchanges.get(number)
        if isinstance(event, h2.events.DataReceived):
            self._codec.acknowledge_received_data(event.flow_controlled_length, number)
            if exchange is not None and exchange.response is not None:
                exchange.response.size += len(event.data)
        elif isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            if exchange is not None:
                exchange.response.headers(event.headers)  # type: ignore[union-attr]
        elif isinstance(event, h2.events.StreamEnded):
            self._end(number, self._verdict(exchange))
        elif isinstance(event, h2.events.StreamReset):
            self._end(number, RESET)
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            for waiting in list(self._unsent):
                self._send_body(waiting)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.leaving = True
            for late in [each for each in self.exchanges if each > (event.last_stream_id or 0)]:
                self._end(late, CLOSED)

    def _verdict(self, exchange: Exchange | None) -> str:
        """A call of gRPC succeeds with the status 0, which its trailers tell."""
        if not self._pool.grpc or exchange is None:
            return ""
        status = exchange.response.grpc_status  # type: ignore[union-attr]
        return "" if status == b"0" else f"grpc {status.decode('latin-1') or 'without status'}"

    def _send_body(self, number: int) -> None:
        body = self._unsent[number]
        room = min(self._codec.local_flow_control_window(number), self._codec.max_outbound_frame_size)
        while body and room > 0:
            piece, body = body[:room], body[room:]
            self._codec.send_data(number, piece, end_stream=not body)
            room = min(self._codec.local_flow_control_window(number), self._codec.max_outbound_frame_size)
        if body:
            self._unsent[number] = body
        else:
            del self._unsent[number]

    def _flush(self) -> None:
        data = self._codec.data_to_send()
        if data and self.transport is not None:
            self.transport.write(data)

    def _end(self, number: int, error: str) -> None:
        self._unsent.pop(number, None)
        exchange = self.exchanges.pop(number, None)
        if exchange is not None:
            self._pool.end(exchange, error)

    def _end_all(self, error: str) -> None:
        for number in list(self.exchanges):
            self._end(number, error)


class Pool:
    """At most `most` connections; what finds no place waits in line, its clock running."""

    def __init__(self, origin: Origin, most: int, done: Done, grpc: bool) -> None:
        self.grpc = grpc
        self._origin = origin
        self._most = most
        self._done = done
        self._open: list[Connection] = []
        self._opening = False
        self._waiting: deque[Exchange] = deque()
        self._tasks = TaskOwner("load-connections")
        self._loop = asyncio.get_running_loop()
        self._address: tuple[Any, ...] | None = None

    async def resolve(self) -> None:
        """MeshError when the host is not known. One look-up for the whole load."""
        try:
            found = await self._loop.getaddrinfo(self._origin.host, self._origin.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise MeshError(f"{self._origin.host}: {error.strerror or error}") from error
        self._address = found[0][4]

    def send(self, exchange: Exchange) -> None:
        for connection in self._open:
            if connection.free:
                connection.send(exchange, monotonic())
                return
        self._waiting.append(exchange)
        self._connect_if_needed()

    def next(self, connection: Connection) -> None:
        """Something has ended there."""
        while self._waiting and connection.free:
            connection.send(self._waiting.popleft(), monotonic())

    def end(self, exchange: Exchange, error: str) -> None:
        exchange.ended = monotonic()
        exchange.error = error
        self._done(exchange)

    def gone(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
        self._connect_if_needed()

    def overdue(self, before: float) -> None:
        """Gives up everything that was due before this moment."""
        while self._waiting and self._waiting[0].due < before:
            self.end(self._waiting.popleft(), TIMEOUT)
        for connection in list(self._open):
            connection.overdue(before)
            self.next(connection)

    async def close(self) -> None:
        await self._tasks.close()
        for connection in list(self._open):
            connection.fail(CLOSED)

    def _connect_if_needed(self) -> None:
        if self._waiting and not self._opening and len(self._open) < self._most:
            self._opening = True
            self._tasks.start(self._connect(), "connect")

    async def _connect(self) -> None:
        assert self._address is not None  # noqa: S101
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await self._loop.create_connection(lambda: Connection(self), *self._address[:2])
        except (OSError, TimeoutError):
            self._opening = False
            if self._waiting:
                self.end(self._waiting.popleft(), CONNECT)
            self._connect_if_needed()
            return
        self._opening = False
        self._open.append(connection)
        self.next(connection)
        self._connect_if_needed()
