"""A scripted HTTP/2 upstream: per request it does what its script says, frame by frame, and records what it received.

The n-th request (over all connections) gets the n-th plan, the last one repeats; without a script it answers 200 with the
path as its body, and a gRPC request with one empty message and `grpc-status: 0`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.harness.client import Fields
from tests.harness.h2_wire import GOAWAY, PREFACE, RST_STREAM, Frame, Message, Wire, settings

# ── steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class AwaitBody:
    """Waits for the end of the request. A plan that does not begin with it answers early."""


@dataclass(frozen=True, slots=True)
class Head:
    status: int = 200
    fields: tuple[tuple[str, str], ...] = ()
    end: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    data: bytes
    end: bool = False


@dataclass(frozen=True, slots=True)
class Trailers:
    fields: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ResetStream:
    code: int


@dataclass(frozen=True, slots=True)
class GoAway:
    """`answered`: whether the stream of the request is among those that will still be answered."""

    code: int = 0
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Raw:
    """A frame on the request's stream, or on the connection."""

    kind: int
    flags: int = 0
    payload: bytes = b""
    on_connection: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Close:
    """FIN."""


@dataclass(frozen=True, slots=True)
class IgnorePings:
    """From here on PINGs on this connection get no answer."""


@dataclass(frozen=True, slots=True)
class EchoBody:
    """Sends back what comes, as it comes, to its end."""


Step = AwaitBody | Head | Body | Trailers | ResetStream | GoAway | Raw | Pause | Close | EchoBody | IgnorePings
Plan = Sequence[Step]
EMPTY_MESSAGE = b"\0\0\0\0\0"
GRPC_HEAD = Head(200, (("content-type", "application/grpc"),))


def reply(status: int = 200, body: bytes = b"ok", *fields: tuple[str, str]) -> Plan:
    if not body:
        return [AwaitBody(), Head(status, fields, end=True)]
    return [AwaitBody(), Head(status, fields), Body(body, end=True)]


def grpc_reply(status: int = 0, message: bytes = EMPTY_MESSAGE, text: str = "") -> Plan:
    trailers = (("grpc-status", str(status)), *([("grpc-message", text)] if text else []))
    return [AwaitBody(), GRPC_HEAD, Body(message), Trailers(trailers)]


def trailers_only(status: int, text: str = "", *fields: tuple[str, str]) -> Plan:
    said = [("content-type", "application/grpc"), ("grpc-status", str(status))]
    said += [("grpc-message", text)] if text else []
    return [AwaitBody(), Head(200, (*said, *fields), end=True)]


def _checked(*steps: Step, message: bytes = b"\x08\x01", flags: int = 0, status: str = "0") -> Plan:
    framed = bytes((flags,)) + len(message).to_bytes(4) + message
    return [AwaitBody(), *steps, GRPC_HEAD, Body(framed), Trailers((("grpc-status", status),))]


# What a health check gets for an answer, by the authority that it asks.
CHECKS: dict[str, Plan] = {
    "serving.check": _checked(),
    "not-serving.check": _checked(message=b"\x08\x02"),
    "unknown-service.check": trailers_only(5, "unknown service"),
    "unimplemented.check": trailers_only(12, "no such method"),
    "failing.check": _checked(status="13"),
    "empty.check": grpc_reply(),
    "trailing.check": _checked(message=b"\x08\x02\x12\x02hi\x1d\0\0\0\0\x08\x01"),
    "no-message.check": [AwaitBody(), GRPC_HEAD, Trailers((("grpc-status", "0"),))],
    "two.check": _checked(message=b"\x08\x01\0\0\0\0\x02\x08\x01"),
    "two-messages.check": [
        AwaitBody(),
        GRPC_HEAD,
        Body(b"\0\0\0\0\x02\x08\x01" * 2),
        Trailers((("grpc-status", "0"),)),
    ],
    "compressed.check": _checked(flags=1),
    "garbage.check": _checked(message=b"\xff\xff"),
    "no-status.check": [AwaitBody(), GRPC_HEAD, Body(b"\0\0\0\0\x02\x08\x01"), Trailers((("x", "1"),))],
    "no-trailers.check": [AwaitBody(), GRPC_HEAD, Body(b"\0\0\0\0\x02\x08\x01", end=True)],
    "plain.check": reply(200, b"ok"),
    "http-503.check": reply(503, b"down"),
    "reset.check": [AwaitBody(), ResetStream(2)],
    "refused.check": [AwaitBody(), ResetStream(7)],
    "closed.check": [AwaitBody(), Close()],
    "slow.check": [AwaitBody(), Pause(2.0), *_checked()[1:]],
    "early.check": _checked()[1:],
    "goaway.check": _checked(GoAway(0)),
    "goaway-unanswered.check": [AwaitBody(), GoAway(0, answered=False), Pause(0.2), *_checked()[1:]],
    "goaway-error.check": _checked(GoAway(2), Pause(0.2)),
}


# ── the server ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class H2Received:
    """One request as it came; `connection` counts the connections from 0 since the last `reset`."""

    connection: int
    message: Message

    @property
    def headers(self) -> Fields:
        return self.message.headers


class _Connection(Wire):
    def __init__(self, upstream: H2Upstream, number: int) -> None:
        super().__init__()
        self.number = number
        self.served = asyncio.Event()
        self._begun: set[int] = set()
        self._upstream = upstream
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        try:
            if await reader.readexactly(len(PREFACE)) != PREFACE:
                return
            self.send(settings(self._upstream.settings))
            while (frame := await self.frame()) is not None:
                message = self.messages.get(frame.stream)
                if message is not None and message.headers and frame.stream not in self._begun:
                    self._begun.add(frame.stream)
                    self._begin(message)
                async with self._news:
                    self._news.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in self._tasks:
                task.cancel()
            writer.close()
            self.served.set()

    def close(self) -> None:
        self._writer.close()

    def _begin(self, message: Message) -> None:
        plan = self._upstream.next_plan(message)
        self.number = self._upstream.number(self.number)
        self._upstream.requests.append(H2Received(self.number, message))
        task = asyncio.get_running_loop().create_task(self._perform(plan, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, plan: Plan, message: Message) -> None:
        stream = message.stream
        for step in plan:
            match step:
                case AwaitBody():
                    async with self._news:
                        await self._news.wait_for(lambda: message.over)
                case Head(status, fields, end):
                    self.headers(stream, [(":status", str(status)), *fields], end)
                case Body(data, end):
                    self.data(stream, data, end)
                case Trailers(fields):
                    self.headers(stream, fields, True)
                case ResetStream(code):
                    self.send(Frame(RST_STREAM, 0, stream, code.to_bytes(4)))
                case GoAway(code, answered):
                    last = stream if answered else max(stream - 2, 0)
                    self.send(Frame(GOAWAY, 0, 0, last.to_bytes(4) + code.to_bytes(4)))
                case Raw(kind, flags, payload, on_connection):
                    self.send(Frame(kind, flags, 0 if on_connection else stream, payload))
                case Pause(seconds):
                    await asyncio.sleep(seconds)
                case Close():
                    self._writer.close()
                case IgnorePings():
                    self.answers_pings = False
                case EchoBody():
                    await self._echo(message)

    async def _echo(self, message: Message) -> None:
        sent = 0
        while not message.over or len(message.body) > sent:
            async with self._news:
                while len(message.body) == sent and not message.over:
                    await self._news.wait()
            data = message.body[sent:]
            sent += len(data)
            self.data(message.stream, data, message.ended)


class H2Upstream:
    """`async with H2Upstream(port) as upstream:` listens until the block ends."""

    def __init__(self, port: int, settings: dict[int, int] | None = None) -> None:
        self.port = port
        self.settings = settings or {}
        self.requests: list[H2Received] = []
        self._script: Sequence[Plan] = ()
        self._connections = 0
        self._wires: list[_Connection] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for wire in self._wires:
            wire.close()
        await asyncio.gather(*[wire.served.wait() for wire in self._wires])

    def reset(self, script: Sequence[Plan] = ()) -> None:
        """Forgets what it received, and begins a script."""
        self.requests = []
        for wire in self._wires:  # a proxy may keep connections for the next test: they count anew
            wire.number = -1
        self._script = script
        self._connections = 0

    def number(self, known: int) -> int:
        """Of a connection that carries a request: `known`, or the next one when there is none."""
        if known >= 0:
            return known
        self._connections += 1
        return self._connections - 1

    def next_plan(self, message: Message) -> Plan:
        if (check := CHECKS.get(message.header(":authority") or "")) is not None:
            return check
        if self._script:
            return self._script[min(len(self.requests), len(self._script) - 1)]
        if (message.header("content-type") or "").startswith("application/grpc"):
            return grpc_reply()
        return reply(body=(message.header(":path") or "").encode())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = _Connection(self, -1)
        self._wires.append(wire)
        await wire.serve(reader, writer)
