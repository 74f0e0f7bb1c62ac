"""A scripted upstream: per request it does what its script says, byte by byte, and records what it received.

A script is a list of plans; the n-th request (over all connections) gets the n-th plan, the last one repeats. A plan is
a sequence of steps. Without a script a plan is chosen by path: `/status/503`, `/delay/0.2`, `/size/1000`, `/chunked`,
`/close`, `/reset`, `/garbage`, `/truncated`; anything else answers 200 with the path as its body.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.harness.client import Fields, fields

# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Reads the request body to its end. A plan that does not begin with it answers early."""


@dataclass(frozen=True, slots=True)
class Send:
    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """FIN."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RST."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Waits for the other side to end the connection."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Sends back every byte until the other side ends: the far end of a tunnel."""


Step = ReadBody | Send | Pause | Close | Reset | Hang | Echo
Plan = Sequence[Step]


def reply(status: int = 200, body: bytes = b"ok", headers: Sequence[tuple[str, str]] = ()) -> list[Step]:
    """A plain content-length response."""
    return [ReadBody(), Send(response_bytes(status, body, headers))]


def response_bytes(status: int = 200, body: bytes = b"ok", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    lines = [f"HTTP/1.1 {status} Reason"]
    lines += [f"{name}: {value}" for name, value in headers]
    if status >= 200 and status not in (204, 304):
        lines.append(f"content-length: {len(body)}")
    else:
        body = b""
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*chunks: bytes, status: int = 200, trailers: Sequence[tuple[str, str]] = ()) -> list[Step]:
    """A chunked response, each chunk in a write of its own."""
    steps: list[Step] = [ReadBody(), Send(b"HTTP/1.1 %d Reason\r\ntransfer-encoding: chunked\r\n\r\n" % status)]
    steps += [Send(b"%x\r\n%s\r\n" % (len(chunk), chunk)) for chunk in chunks]
    lines = "".join(f"{name}: {value}\r\n" for name, value in trailers)
    steps.append(Send(b"0\r\n" + lines.encode() + b"\r\n"))
    return steps


def raw(data: bytes, *then: Step) -> list[Step]:
    """These bytes once the request is in, then what follows."""
    return [ReadBody(), Send(data), *then]


def plan_for(path: str) -> list[Step]:
    """What a request gets when there is no script."""
    _, _, rest = path.partition("?")[0].partition("/")
    word, _, argument = rest.partition("/")
    match word:
        case "status":
            return reply(int(argument), b"status %s" % argument.encode())
        case "delay":
            return [ReadBody(), Pause(float(argument)), Send(response_bytes(body=b"slow"))]
        case "size":
            return reply(body=b"x" * int(argument))
        case "chunked":
            return chunked(b"hello ", b"world")
        case "close":
            return [ReadBody(), Close()]
        case "reset":
            return [ReadBody(), Reset()]
        case "garbage":
            return raw(b"this is no HTTP\r\n\r\n", Close())
        case "truncated":
            return raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npartial", Close())
        case _:
            return reply(body=path.encode())


# ── what was received ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Received:
    """One request as it came; `connection` counts the connections from 0 since the last `reset`."""

    connection: int
    line: str
    headers: Fields
    raw_head: bytes
    body: bytes = b""
    framing: str = "none"  # none | length | chunked
    trailers: Fields = field(default_factory=list)
    complete: bool = False
    tunnel: bytes = b""
    ended: str = ""  # how it ended before it was served: fin | rst by the peer, or malformed

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name]
        return ",".join(values) if values else None


class _PeerGoneError(Exception):
    def __init__(self, how: str) -> None:
        self.how = how


class _ClosedError(Exception):
    """The plan closed the connection."""


class Upstream:
    """`async with Upstream() as upstream:` listens on `upstream.port` until the block ends."""

    def __init__(self, port: int = 0, address: str = "127.0.0.1", choose: Callable[[str], Plan] = plan_for) -> None:
        self._choose = choose  # the plan of a path, where there is no script
        self.port = port
        self.address = address
        self.requests: list[Received] = []
        self.script: list[Plan] = []
        self.connections = 0
        self.open = 0
        self._served = 0
        self._arrived = asyncio.Event()
        self._left = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self.address, self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:  # cancelling the tasks instead would be reported as an error by Python 3.11
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    def reset(self, script: Sequence[Plan] = ()) -> None:
        """Forgets what was received and starts a new script."""
        self.requests = []
        self.script = list(script)
        self.connections = 0
        self._served = 0

    async def wait_for_requests(self, count: int, seconds: float = 5.0) -> None:
        """Until the heads of so many requests are in; TimeoutError."""
        async with asyncio.timeout(seconds):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()

    async def wait_idle(self, seconds: float = 5.0) -> None:
        """Until no connection is open any more; TimeoutError."""
        async with asyncio.timeout(seconds):
            while self.open:
                self._left.clear()
                await self._left.wait()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        number = self.connections
        self.connections += 1
        self.open += 1
        received: Received | None = None
        stream = _Stream(reader, writer)
        try:
            while True:
                head = await stream.head()
                received = _parse_head(number, head)
                self.requests.append(received)
                self._arrived.set()
                await self._serve(received, stream)
                received = None
        except _PeerGoneError as gone:
            if received is not None:
                received.ended = gone.how
        except _ClosedError:
            pass
        except (ValueError, IndexError):
            if received is None:
                raise
            received.ended = "malformed"
        finally:
            self.open -= 1
            self._left.set()
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, received: Received, stream: _Stream) -> None:
        at = self._served
        self._served += 1
        if self.script:
            plan = self.script[min(at, len(self.script) - 1)]
        else:
            plan = self._choose(received.line.split(" ")[1])
        for step in plan:
            await stream.do(step, received)
        if not received.complete:
            await stream.body(received)


class _Stream:
    """One connection's bytes, and the steps done on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._buffer = b""

    async def head(self) -> bytes:
        while b"\r\n\r\n" not in self._buffer:
            await self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        return head + b"\r\n\r\n"

    async def do(self, step: Step, received: Received) -> None:
        match step:
            case ReadBody():
                await self.body(received)
            case Send(data):
                self._writer.write(data)
                try:
                    await self._writer.drain()
                except ConnectionError:
                    raise _PeerGoneError("rst") from None
            case Pause(seconds):
                await self._pause(seconds)
            case Close():
                raise _ClosedError
            case Reset():
                linger = struct.pack("ii", 1, 0)
                self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self._writer.transport.abort()
                raise _ClosedError
            case Hang():
                while True:
                    await self._more()
            case Echo():
                await self._echo(received)

    async def body(self, received: Received) -> None:
        """Reads the request body as its head frames it."""
        if "chunked" in (received.header("transfer-encoding") or ""):
            received.framing = "chunked"
            await self._chunks(received)
        elif (length := received.header("content-length")) is not None:
            received.framing = "length"
            while len(received.body) < int(length):
                if not self._buffer:
                    await self._more()
                missing = int(length) - len(received.body)
                received.body += self._buffer[:missing]
                self._buffer = self._buffer[missing:]
        received.complete = True

    async def _chunks(self, received: Received) -> None:
        while size := int((await self._line()).split(";")[0], 16):
            while len(self._buffer) < size + 2:
                await self._more()
            received.body += self._buffer[:size]
            self._buffer = self._buffer[size + 2 :]
        lines = []
        while line := await self._line():
            lines.append(line)
        received.trailers = fields(lines)

    async def _echo(self, received: Received) -> None:
        received.complete = True
        while True:
            received.tunnel += self._buffer
            self._writer.write(self._buffer)
            self._buffer = b""
            await self._more()

    async def _pause(self, seconds: float) -> None:
        """Waits, and notices when the peer goes meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self._more()
        except TimeoutError:
            return

    async def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            await self._more()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    async def _more(self) -> None:
        try:
            data = await self._reader.read(65536)
        except ConnectionError:
            raise _PeerGoneError("rst") from None
        if not data:
            raise _PeerGoneError("fin")
        self._buffer += data


def _parse_head(number: int, head: bytes) -> Received:
    line, *lines = head.decode("latin-1")[:-4].split("\r\n")
    return Received(number, line, fields(lines), head)
