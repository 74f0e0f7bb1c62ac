"""Health checks over HTTP/2: a request of its own, or grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).

A check has its connection to itself, and keeps it from one check to the next where configuration has it so. Envoy's rules:
a GOAWAY that gives no error lets the check in progress come to its end.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from mesh.protobuf import delimited
from sidecar.codec.h2_client import ClientConnection
from sidecar.codec.h2_frames import NO_ERROR
from sidecar.config import model
from sidecar.config.cluster_model import HTTP2_RESPONSE_HEAD
from sidecar.config.http2_model import Http2
from sidecar.http.connections import PooledConnection
from sidecar.http.grpc import PREFIX
from sidecar.http.head import HTTP2, RequestHead, ResponseHead
from sidecar.http.headers import Headers, get
from sidecar.http.local_reply import is_grpc
from sidecar.http.streams import NO_TRAILERS, UNKNOWN_LENGTH, ResetReason, Trailers, Upstream
from sidecar.process.timers import Deadlines
from sidecar.router.durations import rendered
from sidecar.telemetry.stats import ClusterStats
from sidecar.upstream.dial import connect
from sidecar.upstream.health import PASSED, Failure, Verdict
from sidecar.upstream.probe import applied, judge

_PATH: Final = b"/grpc.health.v1.Health/Check"
_SERVING: Final = 1
_LONGEST: Final = 64 * 1024  # an answer of one number has no reason to be longer
_NETWORK: Final = Verdict(Failure.NETWORK)
_BAD: Final = Verdict(Failure.ACTIVE)


class Answer:
    """What one check hears; `verdict` is there when it has heard enough."""

    def __init__(self, verdict: asyncio.Future[Verdict]) -> None:
        self.verdict = verdict

    def end(self, verdict: Verdict) -> None:
        if not self.verdict.done():
            self.verdict.set_result(verdict)

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        raise NotImplementedError

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        raise NotImplementedError

    def on_interim(self, head: ResponseHead) -> None:
        """It only precedes the answer."""

    def on_switching(self, head: ResponseHead) -> None:
        """Nobody asked to."""

    def on_upstream_reset(self, reason: ResetReason, upstream: Upstream) -> None:
        self.end(_NETWORK)

    def on_upstream_closed(self, orderly: bool) -> None:
        self.end(_NETWORK)

    def on_upstream_blocked(self) -> None:
        """The request is small, and all there."""

    def on_upstream_ready(self) -> None: ...


class HttpAnswer(Answer):
    """Judged like one over HTTP/1.1."""

    def __init__(self, verdict: asyncio.Future[Verdict], probe: model.HttpProbe) -> None:
        super().__init__(verdict)
        self._probe = probe
        self._status = 0
        self._headers: dict[bytes, bytes] = {}
        self._body = b""

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        self._status, self._headers = head.status, dict(head.headers)
        self.on_response_body(body, end)

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        limit = self._probe.body_limit
        self._body += data[: max(limit - len(self._body), 0)] if limit else data
        if end:
            self.end(judge(self._probe, self._status, self._headers, self._body))


class GrpcAnswer(Answer):
    """One message that says SERVING, and a status of 0 behind it; all else is a failure."""

    def __init__(self, verdict: asyncio.Future[Verdict]) -> None:
        super().__init__(verdict)
        self._data = b""
        self._message: bytes | None = None

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        if head.status != 200 or not is_grpc(get(head.headers, b"content-type")):
            self.end(_BAD)
        else:
            self.on_response_body(body, end, trailers)

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        self._data += data
        if not self._take_messages():
            self.end(_BAD)
        elif end:
            passed = get(trailers, b"grpc-status") == b"0" and self._message is not None and says_serving(self._message)
            self.end(PASSED if passed else _BAD)

    def _take_messages(self) -> bool:
        """Whether what has come may still become the one message."""
        while len(self._data) >= PREFIX:
            size = int.from_bytes(self._data[1:PREFIX])
            if self._data[0] or size > _LONGEST or (size and self._message is not None):
                return False
            if len(self._data) < PREFIX + size:
                break
            if size:
                self._message = self._data[PREFIX : PREFIX + size]
            self._data = self._data[PREFIX + size :]
        return True


class Http2Check:
    """Sends requests one after another, each on a stream of the connection. (The connection's pool, too: it is the only
    one.)"""

    def __init__(
        self,
        cluster: model.Cluster,
        config: model.HealthCheck,
        probe: model.HttpProbe | model.GrpcProbe,
        address: model.Address,
        authority: str,
        stats: ClusterStats,
    ) -> None:
        self.stats = stats
        self._options = cluster.http2 or Http2()
        self._max_head = cluster.max_response_head or HTTP2_RESPONSE_HEAD
        self._max_headers = cluster.max_response_headers
        self._source = (cluster.bind_address, 0) if cluster.bind_address else None
        self._config = config
        self._probe = probe
        self._address = address
        self._authority = authority.encode("latin-1", "replace")
        self._connection: ClientConnection | None = None
        self._answer: Answer | None = None

    # ── the checker's side ────────────────────────────────────────────────────────────────────────────────────────────

    async def check(self) -> Verdict:
        answer: Answer | None = None
        stream: Upstream | None = None
        try:
            async with asyncio.timeout(self._config.timeout):
                connection = await self._connected()
                self._answer = answer = self._expected(asyncio.get_running_loop().create_future())
                stream = connection.take()
                self._ask(stream, answer)
                return await answer.verdict
        except TimeoutError:
            return Verdict(Failure.TIMEOUT)
        except OSError:
            return _NETWORK
        finally:
            self._answer = None
            if stream is not None:
                stream.reset()  # which does nothing to one that is complete
            if not self._config.reuse_connection:
                self.close()

    async def rest(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    async def _connected(self) -> ClientConnection:
        if self._connection is None:
            loop = asyncio.get_running_loop()
            made = ClientConnection(
                self, self._options, loop, max_requests=0, idle_timeout=0.0, deadlines=Deadlines(loop, 1.0),
                max_head=self._max_head, max_headers=self._max_headers,
            )  # fmt: skip
            await connect(loop, cast("Any", lambda: made), self._address, self._source)  # a protocol by its shape
            if made.lost:
                raise ConnectionResetError
            self._connection = made
        return self._connection

    def _expected(self, verdict: asyncio.Future[Verdict]) -> Answer:
        assert isinstance(self._probe, model.HttpProbe)  # noqa: S101  # gRPC's has its own
        return HttpAnswer(verdict, self._probe)

    def _ask(self, stream: Upstream, answer: Answer) -> None:
        probe = self._probe
        assert isinstance(probe, model.HttpProbe)  # noqa: S101  # gRPC's has its own
        headers = applied(probe.headers, [(b"user-agent", b"Envoy/HC")])
        head = self._head(probe.method.encode(), probe.path.encode("latin-1", "replace"), headers)
        stream.send(answer, head, len(probe.send), probe.send, True)

    def _head(self, method: bytes, path: bytes, headers: Headers) -> RequestHead:
        head = RequestHead(method, path, headers, {}, {}, HTTP2)
        head.authority = self._authority
        return head

    # ── the connection's side ─────────────────────────────────────────────────────────────────────────────────────────

    def release(self, connection: PooledConnection) -> None:
        """It is for the next check."""

    def withdraw(self, connection: PooledConnection) -> None:
        """No further check on it; one in progress goes on unless the host gave an error for its going away."""
        if connection is self._connection:
            failed = self._connection.peer_goaway_code != NO_ERROR
            self._connection = None
            if failed and self._answer is not None:
                self._answer.end(_NETWORK)

    def closed(self, connection: PooledConnection, *, in_use: bool) -> None:
        if connection is self._connection:
            self._connection = None


class GrpcCheck(Http2Check):
    """Asks grpc.health.v1.Health/Check."""

    def _expected(self, verdict: asyncio.Future[Verdict]) -> Answer:
        return GrpcAnswer(verdict)

    def _ask(self, stream: Upstream, answer: Answer) -> None:
        probe = self._probe
        assert isinstance(probe, model.GrpcProbe)  # noqa: S101  # made with one
        fields = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"user-agent", b"Envoy/HC")]
        headers = applied(probe.metadata, fields)
        headers.append((b"grpc-timeout", rendered(self._config.timeout)))
        stream.send(answer, self._head(b"POST", _PATH, headers), UNKNOWN_LENGTH, question(probe.service), True)


def question(service: str) -> bytes:
    """A HealthCheckRequest as a gRPC message."""
    message = delimited(b"\x0a", service.encode()) if service else b""
    return b"\0" + len(message).to_bytes(4) + message


def says_serving(message: bytes) -> bool:
    """Whether a HealthCheckResponse does; False for what is none."""
    status, at = 0, 0
    try:
        while at < len(message):
            key, at = _number(message, at)
            kind = key & 7
            if kind == 0:
                value, at = _number(message, at)
                status = value if key >> 3 == 1 else status
            elif kind == 2:
                size, at = _number(message, at)
                at += size
            elif kind in (1, 5):
                at += 8 if kind == 1 else 4
            else:
                return False
    except IndexError:
        return False
    return at == len(message) and status == _SERVING


def _number(message: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends. Raises IndexError."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise IndexError
