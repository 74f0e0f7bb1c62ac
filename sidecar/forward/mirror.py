"""Mirroring: a copy of a request, sent to another cluster. Whatever becomes of it, the client does not notice.

A `Mirror` is a stream of its own, with the phases of any other, whose response is dropped. Its client is a `Source`: the
stream that it copies, seen from here.
"""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.config.model import Forward, PathMatch, Route, RouteConfig, RouteMatch, VirtualHost
from sidecar.forward.state import StreamState
from sidecar.forward.tunnel import Tunnels
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Header, Headers, get, put
from sidecar.http.streams import NO_TRAILERS, Downstream, RequestHandler, ResetReason, Trailers
from sidecar.process.hostinfo import own_address
from sidecar.router.extras import Mirroring
from sidecar.router.table import RouteTable
from sidecar.telemetry.propagation import unsample
from sidecar.upstream.cluster import ClusterRuntime

if TYPE_CHECKING:
    from sidecar.forward.stream import Stream

# What Envoy's client for requests of its own has in the place of a configured route: nothing more to be done.
_ANYTHING: Final = Route(RouteMatch(PathMatch.PREFIX, "/"), Forward(()))
_VIRTUAL_HOST: Final = RouteTable(RouteConfig("", (VirtualHost("async-client", ("*",), (_ANYTHING,)),))).virtual_host(
    b""
)


class Source:
    """The client side of a mirror. `pace` is called when the mirror's upstream stops taking the body, and when it takes
    it again."""

    __slots__ = ("blocked", "kept", "local", "own", "pace", "remote")

    answer_is_last = False

    def __init__(self, downstream: Downstream, pace: Callable[[], None]) -> None:
        self.remote, self.local, self.own = downstream.remote, downstream.local, downstream.own
        self.kept = downstream.kept
        self.blocked = False
        self.pace = pace

    def pause_reading(self) -> None:
        self.blocked = True
        self.pace()

    def resume_reading(self) -> None:
        if self.blocked:
            self.blocked = False
            self.pace()

    # nobody waits for an answer

    def respond(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None: ...

    def interim(self, head: ResponseHead) -> None: ...

    def switch(self, head: ResponseHead, *, may_be_http2: bool = False) -> None: ...

    def send_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None: ...

    def reset(self, reason: ResetReason) -> None: ...

    def end_after_this(self) -> None: ...

    def replace(self, handler: RequestHandler) -> None: ...


class Mirrors:
    """The mirrors of one request, made with its first attempt."""

    __slots__ = ("_mirrors", "_plans", "_request", "_sources")

    def __init__(self, request: Stream, plans: Sequence[Mirroring]) -> None:
        self._request = request
        self._plans = plans
        self._mirrors: list[Mirror] = []
        self._sources: list[Source] = []

    @property
    def due(self) -> bool:
        """Whether the next attempt is the one that is mirrored."""
        request = self._request
        return not (request.attempts or request.method == b"CONNECT" or request._upgrade)

    def begin(self, headers: Headers, authority: bytes) -> None:
        """With the request's headers as they were before the attempt added what is only its own."""
        request = self._request
        manager = request.manager
        if request.route.tells_attempts:
            put(headers, b"x-envoy-attempt-count", b"1")
        for plan in self._plans:
            cluster = manager.clusters.get(plan.cluster(request, manager.rng))
            if cluster is None:
                continue
            source = Source(request.downstream, self.pace)
            mirror = Mirror(request, cluster, plan, headers, authority, source)
            self._mirrors.append(mirror)
            self._sources.append(source)
            mirror.begin(b"".join(request._body), request.request_complete, request.request_trailers)

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers) -> None:
        for mirror in self._mirrors:
            mirror.on_request_body(data, end, trailers)

    def pace(self) -> None:
        """The slowest of all receivers of the body sets the pace."""
        request = self._request
        if request._done:
            return
        upstream = request.attempt.upstream if request.attempt is not None else None
        if any(source.blocked for source in self._sources) or (upstream is not None and upstream.blocked):
            request.downstream.pause_reading()
        else:
            request.downstream.resume_reading()

    def cancel(self) -> None:
        """The request was given up before all of it was there to be copied."""
        for mirror in self._mirrors:
            mirror.cancel()


class Mirror(Tunnels):
    """A copy of a request, made when the request itself is on its way. What there is of the body by then goes with it;
    the rest comes by `on_request_body`."""

    __slots__ = ()

    def __init__(
        self,
        of: StreamState,
        cluster: ClusterRuntime,
        plan: Mirroring,
        headers: Headers,
        authority: bytes,
        source: Source,
    ) -> None:
        head = RequestHead(of.method, of.path, list(headers), of.hop_headers, of.indexed_headers)
        super().__init__(source, of.manager, head, of.length, monotonic())
        assert _VIRTUAL_HOST is not None  # noqa: S101  # it serves every name
        self.virtual_host = _VIRTUAL_HOST
        self.route = _VIRTUAL_HOST.routes[0]
        self.cluster = cluster
        self.cluster_name = cluster.name
        self.budget = cluster.budget
        self.scheme = of.scheme
        self.authority = plan.host(authority)
        self._body_limit = of.body_limit
        self._timeout = of.timeout
        self._idle_timeout = 0.0
        self._forwarding = True
        self._finish_headers(of, plan)

    def _finish_headers(self, of: StreamState, plan: Mirroring) -> None:
        headers = self.headers
        for mutate in plan.mutations:
            mutate(self, headers)
        put(headers, b"x-envoy-internal", b"true")
        before, own = get(headers, b"x-forwarded-for"), own_address().encode()
        put(headers, b"x-forwarded-for", own if before is None else before + b"," + own)
        if of.trace is not None and not plan.config.sampled:
            unsample(of.trace, headers)

    def begin(self, body: bytes, end: bool, trailers: Trailers) -> None:
        """Goes to find a host."""
        self.manager.active.add(self)
        self.request_complete = False
        if body or end:
            self.on_request_body(body, end, trailers)
        if not self._done:
            self._attempt()

    def cancel(self) -> None:
        if not self._done:
            self._leave_upstream()
            self._finish()

    # ── nobody waits for an answer ────────────────────────────────────────────────────────────────────────────────────

    def reply(
        self,
        status: int,
        body: bytes,
        details: str,
        flags: int,
        *,
        headers: Iterable[Header] = (),
        grpc_status: int | None = None,
        close: bool = False,
    ) -> None:
        self._detach()
        self._finish()

    def _deliver(self, head: ResponseHead, length: int, body: bytes, end: bool, now: float, trailers: Trailers) -> None:
        self.responding = True
        if end:
            self._finish()

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        if end:
            self._detach()
            self._finish()

    def on_upstream_blocked(self) -> None:
        self.cluster.stats.upstream_flow_control_backed_up_total.value += 1
        self.downstream.pause_reading()

    def on_upstream_ready(self) -> None:
        self.cluster.stats.upstream_flow_control_drained_total.value += 1
        self.downstream.resume_reading()

    def _finish(self, *, cut: bool = False) -> None:
        if self._done:
            return
        self._done = True
        self._detach()
        self.manager.active.remove(self)
        self._forget_body()
        self.downstream.resume_reading()
