"""A client's connections to one origin: one request at a time on each, kept while they can be used again."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from mesh.errors import MeshError
from mesh.load.response import ProtocolError, Response
from mesh.load.template import Origin
from mesh.tasks import TaskOwner

CONNECT_SECONDS = 5.0

TIMEOUT, RESET, CLOSED, CONNECT, PROTOCOL = "timeout", "reset", "closed", "connect", "protocol"

Done = Callable[["Exchange"], None]


class Exchange:
    """One request under way. Times are of the monotonic clock (uvloop's own counts whole milliseconds); `error` is empty
    when `response` is whole."""

    __slots__ = ("connection", "data", "due", "ended", "error", "kind", "no_body", "response", "sent")

    def __init__(self, kind: int, data: bytes, due: float, no_body: bool) -> None:
        self.kind = kind
        self.data = data
        self.due = due
        self.no_body = no_body
        self.sent = 0.0
        self.ended = 0.0
        self.error = ""
        self.response: Response | None = None
        self.connection: Connection | None = None


class Connection(asyncio.Protocol):
    """Belongs to a pool, which hears of every end."""

    __slots__ = ("_pool", "exchange", "transport")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.transport: asyncio.Transport | None = None
        self.exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, exchange: Exchange, now: float) -> None:
        assert self.transport is not None  # noqa: S101
        self.exchange = exchange
        exchange.connection = self
        exchange.sent = now
        exchange.response = Response(exchange.no_body)
        self.transport.write(exchange.data)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None or exchange.response is None:
            self.abort()  # nothing was asked
            return
        response = exchange.response
        try:
            response.feed(data)
        except ProtocolError:
            self.fail(PROTOCOL)
            return
        if response.done:
            self.exchange = None
            self._pool.finished(self, exchange, "")

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        exchange = self.exchange
        if exchange is None:
            self._pool.gone(self)
            return
        self.exchange = None
        whole = error is None and exchange.response is not None and exchange.response.end()
        self._pool.finished(self, exchange, "" if whole else CLOSED if error is None else RESET)

    def fail(self, reason: str) -> None:
        """Ends the connection and what is under way on it."""
        exchange, self.exchange = self.exchange, None
        self.abort()
        if exchange is not None:
            self._pool.finished(self, exchange, reason)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Pool:
    """At most `most` connections; what finds none free waits in line, its clock running."""

    def __init__(self, origin: Origin, most: int, done: Done, keep: bool = True) -> None:
        self._origin = origin
        self._most = most
        self._done = done
        self._keep = keep
        self._free: list[Connection] = []
        self._open: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[Exchange] = deque()
        self._tasks = TaskOwner("load-connections")
        self._loop = asyncio.get_running_loop()
        self._address: tuple[Any, ...] | None = None

    async def resolve(self) -> None:
        """MeshError when the host is not known. One look-up for the whole load."""
        host, port = self._origin.host, self._origin.port
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise MeshError(f"{host}: {error.strerror or error}") from error
        self._address = found[0][4]

    def send(self, exchange: Exchange) -> None:
        free = self._free
        while free:
            connection = free.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                connection.send(exchange, monotonic())
                return
        self._waiting.append(exchange)
        self._connect_if_needed()

    def _connect_if_needed(self) -> None:
        wanted = min(len(self._waiting), self._most - len(self._open))
        while self._opening < wanted:
            self._opening += 1
            self._tasks.start(self._connect(), "connect")

    async def _connect(self) -> None:
        assert self._address is not None  # noqa: S101
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await self._loop.create_connection(lambda: Connection(self), *self._address[:2])
        except (OSError, TimeoutError):
            self._opening -= 1
            if self._waiting:
                self._end(self._waiting.popleft(), CONNECT)
                self._connect_if_needed()
            return
        self._opening -= 1
        self._open.add(connection)
        self._next(connection)

    def finished(self, connection: Connection, exchange: Exchange, error: str) -> None:
        response = exchange.response
        if error or not self._keep or response is None or not response.reusable or connection.transport is None:
            self._open.discard(connection)
            connection.abort()
            self._end(exchange, error)
            self._connect_if_needed()
        else:
            self._end(exchange, error)
            self._next(connection)

    def gone(self, connection: Connection) -> None:
        self._open.discard(connection)

    def overdue(self, before: float) -> None:
        """Gives up everything that was due before this moment."""
        while self._waiting and self._waiting[0].due < before:
            self._end(self._waiting.popleft(), TIMEOUT)
        for connection in [each for each in self._open if each.exchange and each.exchange.due < before]:
            connection.fail(TIMEOUT)

    async def close(self) -> None:
        await self._tasks.close()
        for connection in list(self._open):
            connection.abort()

    def _next(self, connection: Connection) -> None:
        if self._waiting:
            connection.send(self._waiting.popleft(), monotonic())
        else:
            self._free.append(connection)

    def _end(self, exchange: Exchange, error: str) -> None:
        exchange.ended = monotonic()
        exchange.error = error
        exchange.connection = None
        self._done(exchange)


def header_of(head: bytes, name: str) -> str:
    """A response header's first value, or an empty string."""
    found = re.search(rb"\r\n" + re.escape(name.encode()) + rb":[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return found[1].decode("latin-1").strip() if found else ""
