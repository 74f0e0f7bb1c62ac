"""Hedging: an attempt that takes too long is not given up, another one is made beside it, and the first good answer counts.

The attempt that is put aside becomes a `Straggler`: it holds its connection and all that is accounted for it, and tells the
request what becomes of it.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from sidecar.forward.bounded import BoundedStream
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.response_flags import Flag
from sidecar.http.streams import NO_TRAILERS, ResetReason, Trailers
from sidecar.router.retry import Failure
from sidecar.upstream import outlier

if TYPE_CHECKING:
    from sidecar.http.stream_context import StreamContext
    from sidecar.http.streams import Downstream, Upstream
    from sidecar.telemetry.cells import Counter
    from sidecar.upstream.circuit import Permit
    from sidecar.upstream.host import Host


class Straggler:
    """An attempt beside the one in progress, as its connection sees it."""

    __slots__ = ("connection", "counted", "host", "local", "method", "permit", "request")

    def __init__(
        self, request: HedgedStream, connection: Upstream, host: Host, permit: Permit | None, *, counted: bool
    ) -> None:
        self.request = request
        self.method = request.method
        self.connection = connection
        self.host = host
        self.local = connection.local
        self.permit = permit
        self.counted = counted
        connection.handler = self

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        self.request.on_late_response(self, head, length, body, end, trailers)

    def on_switching(self, head: ResponseHead) -> None:
        self.request.on_late_reset(self, ResetReason.PROTOCOL_ERROR)

    def on_upstream_reset(self, reason: ResetReason, upstream: Upstream) -> None:
        self.request.on_late_reset(self, reason)

    def on_interim(self, head: ResponseHead) -> None:
        """Of the answer that counts only."""

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        """Whoever has had the head is no straggler any more."""

    def on_upstream_closed(self, orderly: bool) -> None:
        """Nor is a tunnel one."""

    def on_upstream_blocked(self) -> None:
        """The request was sent whole before it could straggle."""

    def on_upstream_ready(self) -> None:
        """Neither does this hold up anybody."""


class HedgedStream(BoundedStream):
    """A request that hedges when `_hedges` says so."""

    __slots__ = ("_hedges", "_stragglers")

    def __init__(
        self, downstream: Downstream, manager: StreamContext, head: RequestHead, length: int, now: float
    ) -> None:
        super().__init__(downstream, manager, head, length, now)
        self._hedges = False
        self._stragglers: list[Straggler] = []

    # ── the attempt in progress ───────────────────────────────────────────────────────────────────────────────────────

    def _attempt_timed_out(self, details: str, counter: Counter) -> None:
        connection, host, plan = self.connection, self._host, self._plan
        if not self._hedges or self.responding or connection is None or host is None:
            super()._attempt_timed_out(details, counter)
            return
        self._blame(host, outlier.TIMED_OUT, connected=True)
        if plan is None or not plan.enabled or not self._again(0):
            return  # it may still answer
        self._stragglers.append(Straggler(self, connection, host, self._permit, counted=self._counted))
        self.connection = self._host = self._permit = None
        self._counted = False
        self._schedule_retry(timed_out=True)

    def on_response(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        plan = self._plan
        if self._stragglers and plan is not None and plan.wants_response(head):
            if self._host is not None:
                self._host.rq_error += 1
            if self._permit is not None:
                self._give_back(head.status)
            again = self._again(head.status)
            if end:
                self._detach()
            else:
                self._leave_upstream()
            if again:
                self._schedule_retry(self._told_to_wait(head))
            return
        self._drop_stragglers()
        super().on_response(head, length, body, end, trailers)

    def _failed(self, failure: Failure, reason: str, flag: int, status: int) -> None:
        plan = self._plan
        if not self._stragglers:
            super()._failed(failure, reason, flag, status)
        elif plan is not None and plan.wants_failure(failure) and self._again(0):
            self._schedule_retry()
        else:
            self.cluster.stats.complete(status, 0.0)

    def _timed_out(self) -> None:
        for straggler in self._stragglers:
            self.cluster.stats.upstream_rq_timeout.value += 1
            self.cluster.stats.complete(504, 0.0)
            straggler.host.rq_timeout += 1
        super()._timed_out()

    def _expected_timeout(self) -> bytes:
        """While it hedges, an attempt may take as long as the request."""
        plan = self._plan
        if not self._hedges or plan is None:
            return super()._expected_timeout()
        self._plan = None
        whole = super()._expected_timeout()
        self._plan = plan
        return whole

    def _finish(self, *, cut: bool = False) -> None:
        self._drop_stragglers()
        super()._finish(cut=cut)

    # ── those beside it ───────────────────────────────────────────────────────────────────────────────────────────────

    def on_late_response(
        self, straggler: Straggler, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers
    ) -> None:
        plan = self._plan
        if plan is not None and plan.wants_response(head) and self._has_other_than(straggler):
            straggler.host.rq_error += 1
            self._drop(straggler, ended=end)
            return
        self._leave_upstream()
        self._end_retry(succeeded=False)
        self._stragglers.remove(straggler)
        straggler.connection.handler = None if end else self
        self.connection = straggler.connection
        self._host = self.endpoint = straggler.host
        self._permit, self._counted = straggler.permit, straggler.counted
        self.upstream_local = straggler.local
        self._plan = None  # it was tried again already
        self.on_response(head, length, body, end, trailers)

    def on_late_reset(self, straggler: Straggler, reason: ResetReason) -> None:
        straggler.host.rq_error += 1
        self._blame(straggler.host, outlier.RESET, connected=True)
        alone = not self._has_other_than(straggler)
        self._drop(straggler, ended=True)
        status, flag = (502, Flag.UPE) if reason is ResetReason.PROTOCOL_ERROR else (503, Flag.UC)
        if alone:
            self._plan = None
            self._failed(Failure.RESET, reason.value, flag, status)
        else:
            self.cluster.stats.complete(status, 0.0)

    def _has_other_than(self, straggler: Straggler) -> bool:
        """Whether an answer may come from somewhere else: an attempt in progress, or one that is about to be made."""
        in_progress = self.connection is not None or self._waiting or self._timer is not None
        return in_progress or any(other is not straggler for other in self._stragglers)

    def _drop_stragglers(self) -> None:
        for straggler in tuple(self._stragglers):
            self._drop(straggler, ended=False)

    def _drop(self, straggler: Straggler, *, ended: bool) -> None:
        """Gives the attempt up, and back what is accounted for it."""
        self._stragglers.remove(straggler)
        straggler.host.active -= 1
        if straggler.counted:
            self.budget.requests -= 1
            self.cluster.stats.upstream_rq_active.value -= 1
        permit, circuit = straggler.permit, self.cluster.circuit
        if permit is not None and circuit is permit.circuit:
            circuit.failed(permit, "timed out", monotonic())
        if not ended:
            straggler.connection.reset()
