"""Hedging: an attempt that takes too long is not given up, another one is made beside it, and the first good answer counts.

The attempt that is put aside becomes a `Straggler`: it holds its connection and all that is accounted for it, and tells the
request what becomes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from sidecar.codec.heads import RequestParser, ResponseParser
from sidecar.forward.bounded import BoundedStream
from sidecar.http.exchange import Flag
from sidecar.router.retry import Failure
from sidecar.upstream import outlier

if TYPE_CHECKING:
    from sidecar.codec.h1_client import ClientConnection
    from sidecar.telemetry.cells import Counter
    from sidecar.upstream.circuit import Permit
    from sidecar.upstream.host import Host

_NOTHING: tuple[bytes, ...] = ()


class Straggler:
    """An attempt beside the one in progress, as its connection sees it."""

    __slots__ = ("connection", "counted", "host", "local", "method", "permit", "request")

    def __init__(
        self, request: HedgedStream, connection: ClientConnection, host: Host, permit: Permit | None, *, counted: bool
    ) -> None:
        self.request = request
        self.method = request.method
        self.connection = connection
        self.host = host
        self.local = connection.local
        self.permit = permit
        self.counted = counted
        connection.stream = self

    def on_response(
        self, head: ResponseParser, length: int, body: bytes, end: bool, trailers: Sequence[bytes] = _NOTHING
    ) -> None:
        self.request.on_late_response(self, head, length, body, end, trailers)

    @property
    def asks_upgrade(self) -> bool:
        return self.request.asks_upgrade

    def on_switching(self, head: ResponseParser) -> None:
        self.request.on_late_reset(self, "protocol error")

    def on_upstream_reset(self, reason: str, connection: ClientConnection) -> None:
        self.request.on_late_reset(self, reason)

    def on_upstream_blocked(self) -> None:
        """The request was sent whole before it could straggle."""

    def on_upstream_ready(self) -> None:
        """Neither does this hold up anybody."""


class HedgedStream(BoundedStream):
    """A request that hedges when `_hedges` says so."""

    __slots__ = ("_hedges", "_stragglers")

    def __init__(self, downstream: Any, manager: Any, parser: RequestParser, length: int, now: float) -> None:
        super().__init__(downstream, manager, parser, length, now)
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
        self, head: ResponseParser, length: int, body: bytes, end: bool, trailers: Sequence[bytes] = _NOTHING
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
        self, straggler: Straggler, head: ResponseParser, length: int, body: bytes, end: bool, trailers: Sequence[bytes]
    ) -> None:
        plan = self._plan
        if plan is not None and plan.wants_response(head) and self._has_other_than(straggler):
            straggler.host.rq_error += 1
            self._drop(straggler, ended=end)
            return
        self._leave_upstream()
        self._end_retry(succeeded=False)
        self._stragglers.remove(straggler)
        straggler.connection.stream = None if end else self
        self.connection = straggler.connection
        self._host = self.endpoint = straggler.host
        self._permit, self._counted = straggler.permit, straggler.counted
        self.upstream_local = straggler.local
        self._plan = None  # it was tried again already
        self.on_response(head, length, body, end, trailers)

    def on_late_reset(self, straggler: Straggler, reason: str) -> None:
        straggler.host.rq_error += 1
        self._blame(straggler.host, outlier.RESET, connected=True)
        alone = not self._has_other_than(straggler)
        self._drop(straggler, ended=True)
        status, flag = (502, Flag.UPE) if reason == "protocol error" else (503, Flag.UC)
        if alone:
            self._plan = None
            self._failed(Failure.RESET, reason, flag, status)
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
            straggler.connection.abandon()
