"""Requests on routes that ask for more than most: they are copied to mirrors, redirects are followed for them,
their attempts may only last so long.

A request learns on which route it is when its stream exists already; on such a route the stream gives way to an `Elaborate`.
All other streams know nothing of it, and pay nothing for it.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, Self

from sidecar.config.model import InternalRedirects
from sidecar.forward.bounded import BOUNDED_STATE, BoundedStream
from sidecar.forward.hedging import HedgedStream
from sidecar.forward.mirror import Mirror, Source
from sidecar.forward.observed import OBSERVED_STATE, ObservedStream
from sidecar.forward.redirects import Redirection, Successor, refused
from sidecar.forward.state import STREAM_STATE
from sidecar.forward.stream import Stream
from sidecar.http.exchange import EXCHANGE_STATE, UNCOUNTED
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Headers, put
from sidecar.http.response_flags import Flag
from sidecar.http.streams import NO_TRAILERS, Trailers
from sidecar.router.extras import NO_EXTRAS
from sidecar.router.internal_redirect import Refusal
from sidecar.router.retry import Failure, number

if TYPE_CHECKING:
    from sidecar.http.stream_context import StreamContext
    from sidecar.http.streams import Downstream, Upstream

_DURATION: Final = b"x-envoy-upstream-stream-duration-ms"


class Elaborate(HedgedStream):
    """A stream on a route with `extras`, or to a cluster that asks for as much."""

    __slots__ = ("_extras", "_mirrors", "_redirects", "_sources", "_time_of_attempt", "_whole")

    def __init__(
        self, downstream: Downstream, manager: StreamContext, head: RequestHead, length: int, now: float
    ) -> None:
        super().__init__(downstream, manager, head, length, now)
        self._extras = NO_EXTRAS
        self._mirrors: list[Mirror] = []
        self._sources: list[Source] = []
        self._redirects: InternalRedirects | None = None  # None, too, once there is a response that is not followed
        self._time_of_attempt: asyncio.Handle | None = None
        self._whole = True  # all that came of the body is kept

    @classmethod
    def take_over(cls, plain: Stream) -> Self:
        """The request goes on as this one: all that the stream knew so far, which nobody calls any more."""
        manager, downstream = plain.manager, plain.downstream
        elaborate = cls(downstream, manager, plain.head, plain.length, plain.started)
        known: tuple[str, ...] = BOUNDED_STATE if isinstance(plain, BoundedStream) else ()
        if not known and isinstance(plain, ObservedStream):
            known = OBSERVED_STATE
        for name in (*EXCHANGE_STATE, *STREAM_STATE, *known):
            if (value := getattr(plain, name)) is not None:  # else it is not known yet, by neither
                setattr(elaborate, name, value)
        elaborate._begun = True
        route = plain.route
        elaborate._extras = extras = (route.extras if route is not None else None) or NO_EXTRAS
        elaborate._redirects = extras.redirects
        wish = plain.indexed_headers.get(b"x-envoy-hedge-on-per-try-timeout", b"")
        elaborate._hedges = wish == b"true" if wish in (b"true", b"false") else extras.hedges
        elaborate._whole = plain._body_size <= plain._body_limit
        plain._done = True
        manager.active.remove(plain)
        manager.active.add(elaborate)
        downstream.replace(elaborate)
        if known:
            elaborate._log_periodically()
        if elaborate._lifetime is not None:
            elaborate._lifetime.stream = elaborate
        elif not isinstance(plain, BoundedStream):
            elaborate._bound()
        return elaborate

    def _elaborate(self) -> Stream:
        return self  # it is

    def _attempt(self) -> None:
        mirrors = self._extras.mirrors
        if not mirrors or self.attempts or self.method == b"CONNECT" or self._upgrade:
            super()._attempt()
            return
        headers, authority = list(self.headers), self.authority  # before the attempt adds what is only its own
        super()._attempt()
        if not self._done:
            self._mirror(headers, authority)

    def _finish(self, *, cut: bool = False) -> None:
        if not self._done and not self.request_complete:
            for mirror in self._mirrors:
                mirror.cancel()
        super()._finish(cut=cut)

    # ── the time of an attempt ────────────────────────────────────────────────────────────────────────────────────────

    def _in_flight(self, connection: Upstream) -> None:
        super()._in_flight(connection)
        wish = number(self.indexed_headers.get(_DURATION))
        seconds = self.cluster.config.max_stream_duration if wish is None else wish / 1000
        if seconds:
            self._time_of_attempt = self.manager.loop.call_later(seconds, self._attempt_too_long)

    def _detach(self) -> None:
        if self._time_of_attempt is not None:
            self._time_of_attempt.cancel()
            self._time_of_attempt = None
        super()._detach()

    def _attempt_too_long(self) -> None:
        self._time_of_attempt = None
        self.cluster.stats.upstream_rq_max_duration_reached.value += 1
        if self._permit is not None:
            self._give_back("timed out")
        self._leave_upstream()
        plan, details = self._plan, "upstream_max_stream_duration_reached"
        if self.responding:
            self.flags |= Flag.UMSDR
            self.details = details
            self._finish(cut=True)
        elif plan is not None and plan.wants_failure(Failure.RESET) and self._again(0):
            self._schedule_retry()
        else:
            self._end_retry(succeeded=False)
            status, close = (504, False) if self.request_complete else (408, True)
            self.reply(status, b"upstream max stream duration reached", details, Flag.UMSDR, close=close)

    # ── mirrors ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _mirror(self, headers: Headers, authority: bytes) -> None:
        manager = self.manager
        if self.route.tells_attempts:
            put(headers, b"x-envoy-attempt-count", b"1")
        for plan in self._extras.mirrors:
            cluster = manager.clusters.get(plan.cluster(self, manager.rng))
            if cluster is None:
                continue
            source = Source(self.downstream, self._pace)
            mirror = Mirror(self, cluster, plan, headers, authority, source)
            self._mirrors.append(mirror)
            self._sources.append(source)
            mirror.begin(b"".join(self._body), self.request_complete)

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        for mirror in self._mirrors:
            mirror.on_request_body(data, end, trailers)
        super().on_request_body(data, end, trailers)

    def _pace(self) -> None:
        """The slowest of all receivers of the body sets the pace."""
        if self._done:
            return
        blocked = any(source.blocked for source in self._sources)
        if blocked or (self.connection is not None and self.connection.blocked):
            self.downstream.pause_reading()
        else:
            self.downstream.resume_reading()

    def on_upstream_ready(self) -> None:
        super().on_upstream_ready()
        self._pace()

    # ── redirects ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        policy, plan = self._redirects, self._plan
        if policy is not None and (plan is None or not plan.wants_response(head)):
            self._redirects = None
            if head.status in policy.codes and self._redirected(policy, head, end):
                return
        super().on_response(head, length, body, end, trailers)

    def _redirected(self, policy: InternalRedirects, head: ResponseHead, end: bool) -> bool:
        """Whether the redirect was followed; else the client gets it."""
        redirection = Redirection(self, policy)
        found = redirection.find(head) if self._whole else None
        if found is None or isinstance(found, Refusal):
            self.cluster.stats.upstream_internal_redirect_failed_total.value += 1
            if found is not None:
                refused(self.manager.stats, found).value += 1
            return False
        target, route = found
        self.cluster.stats.upstream_internal_redirect_succeeded_total.value += 1
        self._note_answer(head)
        if end:
            self._detach()
        else:
            self._leave_upstream()
        successor, body = redirection.follow(target, head), self._body
        successor._take(route)
        self._end_as_redirected(successor, head)
        self.downstream.replace(successor)
        successor.restart(body)
        return True

    def _note_answer(self, head: ResponseHead) -> None:
        """What a response says of the host, whatever becomes of it."""
        host, cluster = self._host, self.cluster
        if host is not None and cluster.outlier is not None:
            cluster.outlier.on_status(host, head.status, monotonic())
        if self._permit is not None:
            self._give_back(head.status)

    def _end_as_redirected(self, successor: Successor, head: ResponseHead) -> None:
        """As Envoy's log has it: but for its status and its host it is the next request already."""
        self.method, self.path, self.authority = successor.method, successor.path, successor.authority
        self._end_retry(succeeded=True)
        self.route, self.cluster, self.cluster_name = successor.route, successor.cluster, successor.cluster_name
        self.keep(UNCOUNTED, True)
        self.status, self.details = head.status, "internal_redirect"
        self.responding = True
        self._finish()

    def _forget_body(self) -> None:
        if self._redirects is None or not self._whole:
            super()._forget_body()

    def _give_up_retries(self) -> None:
        if self._redirects is not None and self._whole and (self._plan is None or not self._plan.enabled):
            self.cluster.stats.retry_or_shadow_abandoned.value += 1
        self._whole = False
        super()._give_up_retries()
