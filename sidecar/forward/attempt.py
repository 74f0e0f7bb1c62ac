"""One try to get an answer from a host."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from sidecar.http.streams import NO_TRAILERS, ResetReason, Trailers

if TYPE_CHECKING:
    from sidecar.forward.tunnel import Tunnels
    from sidecar.http.head import ResponseHead
    from sidecar.http.streams import Upstream
    from sidecar.upstream.circuit import Permit
    from sidecar.upstream.cluster import ClusterRuntime
    from sidecar.upstream.dial import DialError
    from sidecar.upstream.host import Host
    from sidecar.upstream.limits import Budget


class Attempt:
    """The host, the way to it, and what the attempt has taken of the cluster's limits, which `end` gives back, once. It
    waits in the host's pool, and is the `ResponseHandler` of its Upstream. (In Envoy: `UpstreamRequest`.)"""

    __slots__ = (
        "budget",
        "cluster",
        "host",
        "permit",
        "protocol",
        "request",
        "time_limit",
        "timer",
        "upstream",
        "waiting",
    )

    def __init__(self, request: Tunnels, cluster: ClusterRuntime, host: Host, permit: Permit | None) -> None:
        self.request = request
        self.cluster = cluster
        self.budget: Budget = request.budget
        self.protocol = request.protocol
        self.host = host
        self.permit = permit  # of the cluster's circuit breaker, where it has one
        self.upstream: Upstream | None = None  # from then on it counts as an active request
        self.waiting = True  # for an Upstream
        self.timer: asyncio.Handle | None = None  # of the time that it may take
        self.time_limit: asyncio.Handle | None = None  # the same, with its response
        host.active += 1

    def end(self) -> None:
        host = self.host
        host.active -= 1
        if self.waiting:
            self.waiting = False
            self.cluster.stats.upstream_rq_cancelled.value += 1
            host.pool.leave(self)
        elif self.upstream is not None:
            self.upstream = None
            self.budget.requests -= 1
            self.cluster.stats.upstream_rq_active.value -= 1
        if self.timer is not None:
            self.stop_timer()
        if self.time_limit is not None:
            self.time_limit.cancel()
            self.time_limit = None
        if self.permit is not None:
            self.give_back()

    def leave(self, reason: ResetReason = ResetReason.LOCAL_RESET) -> None:
        """Ends it, and what is going on at the host."""
        upstream = self.upstream
        self.end()
        if upstream is not None:
            upstream.reset(reason)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def give_back(self, outcome: int | str = "") -> None:
        """Returns the circuit breaker's permit: with the status of the response, why there is none, or nothing when
        that says nothing of the upstream."""
        permit, circuit = self.permit, self.cluster.circuit
        self.permit = None
        if permit is None or circuit is not permit.circuit:
            return  # configured anew meanwhile
        if isinstance(outcome, int):
            circuit.answered(permit, outcome, monotonic())
        elif outcome:
            circuit.failed(permit, outcome, monotonic())
        else:
            circuit.cancelled(permit)

    # ── the pool's answers ────────────────────────────────────────────────────────────────────────────────────────────

    def on_connection(self, upstream: Upstream) -> None:
        self.request.on_connection(self, upstream)

    def on_dedicated(self, upstream: Upstream) -> None:
        self.request.on_dedicated(self, upstream)

    def keep_for_resend(self) -> None:
        self.request.keep_for_resend()

    def on_overflow(self) -> None:
        self.waiting = False
        self.request.on_overflow()

    def on_pending_overflow(self) -> None:
        self.waiting = False
        self.request.on_pending_overflow()

    def on_connect_failure(self, failure: DialError) -> None:
        self.waiting = False
        self.request.on_connect_failure(self, failure)

    # ── the host's answers ────────────────────────────────────────────────────────────────────────────────────────────

    def on_interim(self, head: ResponseHead) -> None:
        self.request.on_interim(head)

    def on_switching(self, head: ResponseHead) -> None:
        self.request.on_switching(self, head)

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        self.request.on_response(self, head, length, body, end, trailers)

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        self.request.on_response_body(data, end, trailers)

    def on_upstream_reset(self, reason: ResetReason, upstream: Upstream) -> None:
        self.request.on_upstream_reset(self, reason, stale=upstream.stale)

    def on_upstream_closed(self, orderly: bool) -> None:
        self.request.on_upstream_closed(orderly)

    def on_upstream_blocked(self) -> None:
        self.request.on_upstream_blocked()

    def on_upstream_ready(self) -> None:
        self.request.on_upstream_ready()
