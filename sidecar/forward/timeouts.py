"""What takes too long: the request's own time, the time without a byte, and the time of one attempt."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.forward.upstream_resets import UpstreamResets
from sidecar.http.response_flags import Flag
from sidecar.process.timers import NEVER
from sidecar.router.retry import Failure
from sidecar.upstream import outlier

if TYPE_CHECKING:
    from sidecar.router.retry import RetryPlan
    from sidecar.telemetry.cells import Counter

TIMEOUT_BODY: Final = b"upstream request timeout"

_ALTERNATIVE: Final = b"x-envoy-upstream-rq-timeout-alt-response"  # asks for 204 in the place of 504
_EARLY: Final = 0.001  # by how much a timer may be too early


class Timeouts(UpstreamResets):
    """Deadlines are looked at by a coarse tick; the time of an attempt has a timer of its own."""

    __slots__ = ()

    def _request_ended(self) -> None:
        """The client has sent everything: from now on the route's time-out counts."""
        self._deadline_at = monotonic() + self._timeout if self._timeout else NEVER
        self._set_deadline()

    def _set_deadline(self) -> None:
        idle, deadline = self._idle_timeout, self._deadline_at
        if idle and self._touched + idle < deadline:
            deadline = self._touched + idle
        self.deadline = deadline

    def on_deadline(self, now: float) -> None:
        """A limit may be reached: the request's time-out, or nothing has moved for too long."""
        if now >= self._deadline_at:
            if self.request_complete:
                self._timed_out()
            elif self.responding:  # request_timeout counts until the response begins
                self._deadline_at = NEVER
                self._set_deadline()
            else:
                self._slow_request()
        elif self._idle_timeout and now - self._touched >= self._idle_timeout:
            self._idle()
        else:
            self._set_deadline()

    def _timed_out(self) -> None:
        if self.extensions is not None and self.extensions.hedging is not None:
            self.extensions.hedging.on_timed_out()
        attempt = self.attempt
        self.cluster.stats.upstream_rq_timeout.value += 1
        self._give_back("timed out")
        if attempt is not None:
            attempt.host.rq_timeout += 1
            self._blame(attempt.host, outlier.TIMED_OUT, connected=not (attempt.waiting or self.responding))
        self._leave_upstream()
        self._end_retry(succeeded=False)
        self._give_up("response_timeout")

    def _slow_request(self) -> None:
        """request_timeout: the client took too long to send it."""
        self.manager.stats.downstream_rq_timeout.value += 1
        self._leave_upstream()
        self.reply(408, b"request timeout", "request_overall_timeout", 0, close=True)

    def _idle(self) -> None:
        self.manager.stats.downstream_rq_idle_timeout.value += 1
        if self.request_complete:
            self._give_back("timed out")
        self._leave_upstream()
        if self.responding:
            self.flags |= Flag.SI
            self.details = "stream_idle_timeout"
            self._finish(cut=True)
        elif self.request_complete:
            self.reply(504, b"stream timeout", "stream_idle_timeout", Flag.SI)
        else:
            self.reply(408, b"stream timeout", "stream_idle_timeout", Flag.SI, close=True)

    def _start_per_try(self, plan: RetryPlan) -> None:
        """The request is with the host: now the attempt's time counts."""
        self._touched = now = monotonic()
        self._watch_attempt(plan, now + plan.per_try_timeout if plan.per_try_timeout else NEVER, now)

    def _watch_attempt(self, plan: RetryPlan, ends: float, now: float) -> None:
        """Looks again when the attempt is to end, or when nothing may have come of it for too long."""
        idle = plan.policy.per_try_idle_timeout
        look = min(ends, self._touched + idle) if idle else ends
        if self.attempt is not None:
            self.attempt.timer = self.manager.loop.call_later(look - now, self._look_at_attempt, plan, ends)

    def _look_at_attempt(self, plan: RetryPlan, ends: float) -> None:
        if self._done or self.attempt is None:
            return
        self.attempt.timer = None
        now, idle = monotonic() + _EARLY, plan.policy.per_try_idle_timeout
        stats = self.cluster.stats
        if now >= ends and not self.responding:
            self._attempt_timed_out("upstream_per_try_timeout", stats.upstream_rq_per_try_timeout)
        elif idle and now - self._touched >= idle:
            self._attempt_timed_out("upstream_per_try_idle_timeout", stats.upstream_rq_per_try_idle_timeout)
        else:
            self._watch_attempt(plan, ends, now)

    def _attempt_timed_out(self, details: str, counter: Counter) -> None:
        hedging = self.extensions.hedging if self.extensions is not None else None
        if hedging is not None and hedging.puts_aside():
            return
        counter.value += 1
        self._give_back("timed out")
        attempt = self.attempt
        if attempt is not None:
            attempt.host.rq_timeout += 1
            self._blame(attempt.host, outlier.TIMED_OUT, connected=not self.responding)
        self._leave_upstream()
        plan = self._plan
        if plan is not None and plan.wants_failure(Failure.PER_TRY_TIMEOUT) and self._claim_retry(0):
            self._schedule_retry(timed_out=True)
            return
        self._end_retry(succeeded=False)
        self._give_up(details)

    def _give_up(self, details: str) -> None:
        """There will be no (more of a) response."""
        if self.responding:
            self.flags |= Flag.UT
            self.details = details
            self._finish(cut=True)
            return
        status, body = (204, b"") if _ALTERNATIVE in self.indexed_headers else (504, TIMEOUT_BODY)
        self.cluster.stats.complete(status, 0.0)
        self.reply(status, body, details, Flag.UT)
