"""Hedging: an attempt that takes too long is not given up, another one is made beside it, and the first good answer counts.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/http_routing#request-hedging
"""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.forward.upstream_resets import RESET_FLAGS
from sidecar.http.response_flags import Flag
from sidecar.http.streams import ResetReason
from sidecar.router.retry import Failure
from sidecar.upstream import outlier

if TYPE_CHECKING:
    from sidecar.forward.attempt import Attempt
    from sidecar.forward.stream import Stream
    from sidecar.http.head import ResponseHead
    from sidecar.http.streams import Trailers


class Hedging:
    """The attempts of one request beside the one in progress."""

    __slots__ = ("_request", "beside")

    def __init__(self, request: Stream) -> None:
        self._request = request
        self.beside: list[Attempt] = []

    # ── the attempt in progress ───────────────────────────────────────────────────────────────────────────────────────

    def puts_aside(self) -> bool:
        """Whether the attempt in progress, whose time is over, may still answer."""
        request = self._request
        attempt, plan = request.attempt, request._plan
        if request.responding or attempt is None or attempt.upstream is None:
            return False
        request._blame(attempt.host, outlier.TIMED_OUT, connected=True)
        if plan is not None and plan.enabled and request._claim_retry(0):
            self.beside.append(attempt)
            request.attempt = None
            request._schedule_retry(timed_out=True)
        return True

    def goes_on_after(self, attempt: Attempt, head: ResponseHead, end: bool) -> bool:
        """Whether the response of the attempt in progress is not the one that counts; the others end where it is."""
        request = self._request
        plan = request._plan
        if not self.beside or plan is None or not plan.wants_response(head):
            self.drop_all()
            return False
        attempt.host.rq_error += 1
        request._give_back(head.status)
        again = request._claim_retry(head.status)
        request._end_attempt(end)
        if again:
            request._schedule_retry(request._retry_after(head))
        return True

    def waits_for_others(self, failure: Failure, status: int) -> bool:
        """Whether the failure of the attempt in progress is not the end of it all."""
        request = self._request
        plan = request._plan
        if not self.beside:
            return False
        if plan is not None and plan.wants_failure(failure) and request._claim_retry(0):
            request._schedule_retry()
        else:
            request.cluster.stats.complete(status, 0.0)
        return True

    # ── those beside it ───────────────────────────────────────────────────────────────────────────────────────────────

    def on_late_response(
        self, attempt: Attempt, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers
    ) -> None:
        request = self._request
        plan = request._plan
        if plan is not None and plan.wants_response(head) and self._has_other_than(attempt):
            attempt.host.rq_error += 1
            self._drop(attempt, over=end)
            return
        request._leave_upstream()
        request._end_retry(succeeded=False)
        self.beside.remove(attempt)
        request.attempt = attempt
        request.endpoint = attempt.host
        if attempt.upstream is not None:
            request.upstream_local = attempt.upstream.local
        request._plan = None  # it was tried again already
        request.on_response(attempt, head, length, body, end, trailers)

    def on_late_reset(self, attempt: Attempt, reason: ResetReason) -> None:
        request = self._request
        attempt.host.rq_error += 1
        request._blame(attempt.host, outlier.RESET, connected=True)
        alone = not self._has_other_than(attempt)
        self._drop(attempt, over=True)
        status, flag = 502 if reason is ResetReason.PROTOCOL_ERROR else 503, RESET_FLAGS.get(reason, Flag.UR)
        if alone:
            request._plan = None
            request._failed(Failure.RESET, reason.value, flag, status)
        else:
            request.cluster.stats.complete(status, 0.0)

    def on_timed_out(self) -> None:
        """The time of the whole request is over."""
        stats = self._request.cluster.stats
        for attempt in self.beside:
            stats.upstream_rq_timeout.value += 1
            stats.complete(504, 0.0)
            attempt.host.rq_timeout += 1

    def _has_other_than(self, attempt: Attempt) -> bool:
        """Whether an answer may come from somewhere else: an attempt in progress, or one that is about to be made."""
        request = self._request
        in_progress = request.attempt is not None or request._timer is not None
        return in_progress or any(other is not attempt for other in self.beside)

    def drop_all(self) -> None:
        for attempt in tuple(self.beside):
            self._drop(attempt, over=False)

    def _drop(self, attempt: Attempt, *, over: bool) -> None:
        """Gives the attempt up."""
        self.beside.remove(attempt)
        if attempt.permit is not None:
            attempt.give_back("timed out")
        if over:
            attempt.end()
        else:
            attempt.leave()
