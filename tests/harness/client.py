"""A raw HTTP/1.1 client: sends exactly the bytes it is given, and reads back whatever comes, however it ends."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

End = Literal["open", "fin", "rst"]
Fields = list[tuple[str, str]]
NO_BODY_STATUS = frozenset({204, 304})
DEADLINE_SECONDS = 8.0


@dataclass(slots=True)
class Response:
    """One response as it came: header names in the case they had, the body without its framing."""

    status: int
    reason: str
    version: str
    headers: Fields
    body: bytes = b""
    framing: str = "none"  # none | length | chunked | close
    trailers: Fields = field(default_factory=list)
    complete: bool = True
    interim: list[Response] = field(default_factory=list)  # the 1xx responses in front of it

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name]
        return ",".join(values) if values else None

    @property
    def closes(self) -> bool:
        """Whether it announces that the connection ends with it."""
        return "close" in (self.header("connection") or "").lower() or self.framing == "close"


class Client:
    """One connection. `async with Client(port) as client:` opens it."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self._address = address
        self._port = port
        self._buffer = b""
        self._end: End = "open"
        self.raw = b""  # everything received

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._address, self._port)
        host, port = self._writer.get_extra_info("sockname")[:2]
        self.local = f"{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> None:
        """A broken connection is not an error here: how it ended is what `end` tells."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            self._end = "rst"

    def half_close(self) -> None:
        self._writer.write_eof()

    def reset(self) -> None:
        """Ends the connection with RST."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def response(self, method: str = "GET", seconds: float = DEADLINE_SECONDS) -> Response | None:
        """The next final response, None when the connection ends without one. TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds):
            interim: list[Response] = []
            while True:
                response = await self._head()
                if response is None:
                    return None
                if response.status == 101 or response.status >= 200:
                    break
                interim.append(response)
            response.interim = interim
            await self._body(response, method)
            return response

    async def bytes_until(self, marker: bytes, seconds: float = DEADLINE_SECONDS) -> bytes:
        """Raw bytes up to and with the marker, or what there was at the end."""
        async with asyncio.timeout(seconds):
            while marker not in self._buffer and await self._more():
                pass
        at = self._buffer.find(marker)
        taken = self._buffer if at < 0 else self._buffer[: at + len(marker)]
        self._buffer = self._buffer[len(taken) :]
        return taken

    async def end(self, seconds: float = DEADLINE_SECONDS) -> End:
        """How the connection ended; `open` when it has not after `seconds`. Bytes that still come stay in `raw`."""
        try:
            async with asyncio.timeout(seconds):
                while await self._more():
                    pass
        except TimeoutError:
            return "open"
        return self._end

    async def _more(self) -> bool:
        if self._end != "open":
            return False
        try:
            data = await self._reader.read(65536)
        except ConnectionError:
            self._end = "rst"
            return False
        if not data:
            self._end = "fin"
            return False
        self.raw += data
        self._buffer += data
        return True

    async def _head(self) -> Response | None:
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                return None
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, reason = [*first.split(" ", 2), "", ""][:3]
        return Response(int(status), reason, version, fields(lines))

    async def _body(self, response: Response, method: str) -> None:
        if method == "HEAD" or response.status in NO_BODY_STATUS or response.status == 101:
            return
        if (method == "CONNECT") and 200 <= response.status < 300:
            return
        if "chunked" in (response.header("transfer-encoding") or ""):
            response.framing = "chunked"
            await self._chunks(response)
        elif (length := response.header("content-length")) is not None:
            response.framing = "length"
            response.body = await self._take(int(length))
            response.complete = len(response.body) == int(length)
        else:
            response.framing = "close"
            while await self._more():
                pass
            response.body, self._buffer = self._buffer, b""

    async def _chunks(self, response: Response) -> None:
        while True:
            size_line = await self._line()
            if size_line is None:
                response.complete = False
                return
            size = int(size_line.split(";")[0], 16)
            if size == 0:
                break
            data = await self._take(size)
            response.body += data
            if len(data) < size or await self._line() is None:
                response.complete = False
                return
        lines = []
        while line := await self._line():
            lines.append(line)
        response.complete = line is not None
        response.trailers = fields(lines)

    async def _line(self) -> str | None:
        while b"\r\n" not in self._buffer:
            if not await self._more():
                return None
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    async def _take(self, size: int) -> bytes:
        while len(self._buffer) < size and await self._more():
            pass
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken


def fields(lines: list[str]) -> Fields:
    """Header lines as (name, value), names in the case they have."""
    pairs = (line.partition(":") for line in lines)
    return [(name, value.strip()) for name, _, value in pairs]
