"""One health check on the wire: an HTTP/1.1 request, or a TCP connection."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import httptools

from sidecar.config import model
from sidecar.config.model import HeaderOps
from sidecar.upstream.dial import pipe_path
from sidecar.upstream.health import PASSED, Failure, Verdict

_SWITCHING: Final = 101  # nobody asked to: all that follows is of no interest
_HEAD_LIMIT: Final = 60 * 1024
_PIECE: Final = 64 * 1024


class Probe(Protocol):
    """Checks one host again and again, one check at a time."""

    async def check(self) -> Verdict:
        """One check, within its time-out."""

    async def rest(self, seconds: float) -> bool:
        """Waits for the next one; False as soon as the host ended a connection that it should have kept."""

    def close(self) -> None: ...


class _Connected:
    """A connection that may be kept from one check to the next."""

    def __init__(self, config: model.HealthCheck, address: model.Address, source: str) -> None:
        self._config = config
        self._address = address
        self._source = (source, 0) if source else None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = self._reader, self._writer
        if reader is None or writer is None or reader.at_eof() or writer.is_closing():
            self.close()
            where = self._address
            if where.is_pipe:
                reader, writer = await asyncio.open_unix_connection(pipe_path(where))
            else:
                reader, writer = await asyncio.open_connection(where.host, where.port, local_addr=self._source)
            self._reader, self._writer = reader, writer
        return reader, writer

    async def check(self) -> Verdict:
        try:
            async with asyncio.timeout(self._config.timeout):
                return await self._check()
        except TimeoutError:
            verdict = Verdict(Failure.TIMEOUT)
        except (OSError, EOFError, httptools.HttpParserError):
            verdict = Verdict(Failure.NETWORK)
        self.close()
        return verdict

    async def _check(self) -> Verdict:
        raise NotImplementedError

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None


class TcpCheck(_Connected):
    """Connects; sends and waits for the expected bytes where there are any."""

    def __init__(self, config: model.HealthCheck, probe: model.TcpProbe, address: model.Address, source: str) -> None:
        super().__init__(config, address, source)
        self._probe = probe

    async def _check(self) -> Verdict:
        reader, writer = await self._streams()
        if not self._probe.receive:
            self.close()
            return PASSED
        writer.write(self._probe.send)
        received = b""
        while not contains(received, self._probe.receive):
            piece = await reader.read(_PIECE)
            if not piece:
                raise EOFError
            received = (received + piece)[-_PIECE:]
        if not self._config.reuse_connection:
            self.close()
        return PASSED

    async def rest(self, seconds: float) -> bool:
        if self._reader is None:
            await asyncio.sleep(seconds)
            return True
        try:
            async with asyncio.timeout(seconds):
                while await self._reader.read(_PIECE):
                    pass  # nobody asked
        except TimeoutError:
            return True
        except OSError:
            pass
        self.close()
        return False


def contains(received: bytes, expected: tuple[bytes, ...]) -> bool:
    """Whether the expected pieces come in this order, with anything between them."""
    start = 0
    for piece in expected:
        found = received.find(piece, start)
        if found < 0:
            return False
        start = found + len(piece)
    return True


class HttpCheck(_Connected):
    """Sends a request and judges the response."""

    def __init__(
        self, config: model.HealthCheck, probe: model.HttpProbe, address: model.Address, source: str, host: str
    ) -> None:
        super().__init__(config, address, source)
        self._probe = probe
        self._request = request_bytes(probe, host)

    async def _check(self) -> Verdict:
        reader, writer = await self._streams()
        writer.write(self._request)
        response = Response(self._probe.method == "HEAD", self._probe.body_limit)
        while not response.complete:
            piece = await reader.read(_PIECE)
            if not piece:
                if not response.ends_with_connection:
                    raise EOFError
                break
            response.feed(piece)
        if not (self._config.reuse_connection and response.complete and response.keep_alive):
            self.close()
        return judge(self._probe, response.status, response.headers, bytes(response.body))

    async def rest(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return True


def request_bytes(probe: model.HttpProbe, host: str) -> bytes:
    """The request, with Envoy's own user-agent unless the configuration says otherwise."""
    headers = applied(probe.headers, [(b"host", host.encode("latin-1", "replace")), (b"user-agent", b"Envoy/HC")])
    if probe.send:
        headers.append((b"content-length", b"%d" % len(probe.send)))
    lines = [b"%s %s HTTP/1.1\r\n" % (probe.method.encode(), probe.path.encode("latin-1", "replace"))]
    lines += [b"%s: %s\r\n" % header for header in headers]
    return b"".join([*lines, b"\r\n", probe.send])


def applied(ops: HeaderOps, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """A check's headers with what the configuration makes of them."""
    for add in ops.add:
        there = any(name == add.name for name, _ in headers)
        if add.action is model.AppendAction.OVERWRITE or (
            add.action is model.AppendAction.OVERWRITE_IF_EXISTS and there
        ):
            headers = [header for header in headers if header[0] != add.name]
        elif (add.action is model.AppendAction.ADD_IF_ABSENT and there) or (
            add.action is model.AppendAction.OVERWRITE_IF_EXISTS
        ):
            continue
        if add.value or add.keep_empty:
            headers.append((add.name, add.value.encode("latin-1", "replace")))
    return [header for header in headers if header[0] not in ops.remove]


def judge(probe: model.HttpProbe, status: int, headers: dict[bytes, bytes], body: bytes) -> Verdict:
    """What a response says of its host."""
    excluded = b"x-envoy-immediate-health-check-fail" in headers
    if not contains(body, probe.receive):
        return Verdict(Failure.ACTIVE, excluded=excluded)
    if not any(start <= status < end for start, end in probe.expected):
        retriable = any(start <= status < end for start, end in probe.retriable)
        return Verdict(Failure.ACTIVE, retriable=retriable, excluded=excluded)
    return Verdict(degraded=b"x-envoy-degraded" in headers)


class Response:
    """One response as llhttp reads it; of its body as much is kept as is looked at."""

    def __init__(self, without_body: bool, body_limit: int) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.complete = False
        self.keep_alive = False
        self._without_body = without_body
        self._body_limit = body_limit
        self._fed = 0
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises httptools.HttpParserError."""
        self._fed += len(data)
        if self._fed > _HEAD_LIMIT and not self.status:
            raise httptools.HttpParserError("the head is too long")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self.complete:
                raise
            self.keep_alive = False  # more than was asked for

    @property
    def ends_with_connection(self) -> bool:
        framed = b"content-length" in self.headers or b"transfer-encoding" in self.headers
        return bool(self.status) and not framed

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 and status != _SWITCHING:  # it only precedes the response
            self.headers.clear()
            return
        self.status = status
        self.keep_alive = self._parser.should_keep_alive() and status != _SWITCHING
        if self._without_body or status == _SWITCHING:
            self.complete = True
            self.keep_alive = self.keep_alive and b"transfer-encoding" not in self.headers

    def on_body(self, data: bytes) -> None:
        left = self._body_limit - len(self.body) if self._body_limit else len(data)
        self.body += data[: max(left, 0)]

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
