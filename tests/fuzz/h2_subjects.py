"""Both ends of HTTP/2 as the fuzzer sees them: real connections, Python or compiled, between a wire and parts that only note
what they are told.

Requests are echoed when they are complete, so that what a connection sends goes through its windows, too; what is noted
must not depend on how the bytes came.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from sidecar.codec import h2_frames as frames
from sidecar.codec.h2_client import ClientConnection
from sidecar.codec.h2_server import ServerConnection
from sidecar.config.http2_model import Http2
from sidecar.config.model import Address
from sidecar.http.head import HTTP2, RequestHead, ResponseHead
from sidecar.http.streams import NO_TRAILERS, UNKNOWN_LENGTH, ResetReason, Trailers
from sidecar.process.timers import NEVER, Deadlines
from sidecar.telemetry.stats import ClusterStats, Http2Stats, HttpStats, Stats
from tests.harness.stage import ManualLoop, Wire, hcm

REQUESTS = 3  # that a client's connection has sent before the fuzzed bytes come


@dataclass
class Noted:
    """One request, or one answer."""

    head: tuple[Any, ...] = ()
    body: bytes = b""
    trailers: tuple[Any, ...] = ()
    ends: list[str] = field(default_factory=list)


class Echo:
    """A `RequestHandler`."""

    def __init__(self, downstream: Any, noted: Noted) -> None:
        self.downstream = downstream
        self.noted = noted

    def start(self) -> None:
        if self.downstream.remote_done:
            self.on_request_body(b"", True)

    def refuse(self, status: int, body: bytes, details: str, flags: int) -> None:
        self.noted.ends.append(details)

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        self.noted.body += data
        if end:
            self.noted.trailers = tuple(trailers)
            self.noted.ends.append("complete")
            head = ResponseHead(200, [(b"x-length", b"%d" % len(self.noted.body))])
            self.downstream.respond(head, UNKNOWN_LENGTH, self.noted.body, True, trailers)

    def on_client_gone(self, detail: str = "gone") -> None:
        self.noted.ends.append(detail)

    def on_violation(self, detail: str) -> None:
        self.noted.ends.append(detail)

    def on_client_reset(self, detail: str) -> None:
        self.noted.ends.append(detail)

    def on_client_blocked(self) -> None:
        """The echo is all there already."""

    def on_client_ready(self) -> None:
        """Likewise."""


class Manager:
    """A server connection's `ServerCallbacks`."""

    def __init__(self) -> None:
        stats = Stats()
        self.config = hcm()
        self.stats = HttpStats(stats, "fuzz")
        self.http2_stats = Http2Stats(stats, "")
        self.loop = ManualLoop()
        self.requests: list[Noted] = []

    def opened(self, connection: Any) -> None:
        self.requests = []

    def closed(self, connection: Any, seconds: float, *, in_use: bool) -> None:
        """Nobody counts."""

    def next_look(self, now: float, opened: float, idle_since: float) -> float:
        return NEVER

    def begin(self, downstream: Any, head: RequestHead, length: int, now: float) -> Echo:
        noted = Noted((head.method, head.target, head.authority, *head.headers, length))
        self.requests.append(noted)
        return Echo(downstream, noted)

    def begin_refused(self, downstream: Any, now: float, protocol: str) -> Echo:
        self.requests.append(Noted())
        return Echo(downstream, self.requests[-1])

    def answers_continue(self, expect: bytes, http10: bool) -> bool:
        return True

    def ends_keep_alive(self) -> bool:
        return False

    def gives_up(self) -> bool:
        return False


class Pool:
    """A client connection's `PoolCallbacks`."""

    def __init__(self) -> None:
        self.stats = ClusterStats(Stats(), "fuzz")

    def release(self, connection: Any) -> None:
        """All requests are sent already."""

    def withdraw(self, connection: Any) -> None:
        """Nobody asks for more."""

    def closed(self, connection: Any, *, in_use: bool) -> None:
        """Nobody counts."""


class Answer:
    """A `ResponseHandler`."""

    def __init__(self) -> None:
        self.noted = Noted()

    def on_interim(self, head: ResponseHead) -> None:
        self.noted.head += (head.status, *head.headers)

    def on_switching(self, head: ResponseHead) -> None:
        self.noted.ends.append("switching")

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        self.noted.head += (head.status, *head.headers, length)
        self.on_response_body(body, end, trailers)

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        self.noted.body += data
        if end:
            self.noted.trailers = tuple(trailers)
            self.noted.ends.append("complete")

    def on_upstream_reset(self, reason: ResetReason, upstream: Any) -> None:
        self.noted.ends.append(reason.value)

    def on_upstream_closed(self, orderly: bool) -> None:
        self.noted.ends.append("closed")

    def on_upstream_blocked(self) -> None:
        """The requests are small."""

    def on_upstream_ready(self) -> None:
        """Likewise."""


class Server:
    """Takes what a client sends."""

    def __init__(self) -> None:
        self.manager = Manager()

    def hear(self, pieces: list[bytes]) -> tuple[bytes, list[Noted]]:
        """What was sent after the first SETTINGS, and what the requests were."""
        manager = self.manager
        manager.loop = loop = ManualLoop()
        wire = Wire(loop, ServerConnection(manager, Address("10.1.1.1", 80)))  # type: ignore[arg-type]
        wire.protocol.connection_made(wire)
        return _conversation(wire, loop, frames.PREFACE, pieces), manager.requests


class Client:
    """Takes what a host sends in answer to three requests, the last of which goes on."""

    def __init__(self) -> None:
        self.pool = Pool()

    def hear(self, pieces: list[bytes]) -> tuple[bytes, list[Noted]]:
        loop: Any = ManualLoop()
        connection = ClientConnection(
            self.pool,
            Http2(),
            loop,
            max_requests=0,
            idle_timeout=0.0,
            deadlines=Deadlines(loop, 1.0),
        )
        wire = Wire(loop, connection)  # type: ignore[arg-type]
        wire.protocol.connection_made(wire)
        answers = [Answer() for _ in range(REQUESTS)]
        for answer, last in zip(answers, (True, True, False), strict=True):
            head = RequestHead(b"POST", b"/", [(b"x-a", b"1")], {}, {}, HTTP2)
            head.authority = b"a"
            connection.take().send(answer, head, UNKNOWN_LENGTH, b"question", last)
        return _conversation(wire, loop, b"", pieces), [answer.noted for answer in answers]


def _conversation(wire: Wire, loop: ManualLoop, first: bytes, pieces: list[bytes]) -> bytes:
    wire.sends(first + frames.frame(frames.SETTINGS, 0, 0))
    _run(loop)
    wire.received()
    for piece in pieces:
        if not wire.closing:
            wire.sends(piece)
        _run(loop)
    sent = wire.received()
    wire.resets()
    return sent


def _run(loop: ManualLoop) -> None:
    for _ in itertools.takewhile(lambda _: loop.is_ready, range(100)):
        loop.run_ready()
