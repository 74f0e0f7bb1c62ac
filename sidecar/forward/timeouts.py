"""What takes too long: the request's own time, the time without a byte, and the time of one attempt."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from sidecar.exchange import Flag
from sidecar.forward.failures import Failures
from sidecar.forward.state import NEVER
from sidecar.router.retry import Failure
from sidecar.upstream import outlier

if TYPE_CHECKING:
    from sidecar.router.retry import RetryPlan

TIMEOUT_BODY = b"upstream request timeout"


class Timeouts(Failures):
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
        stats, host = self.cluster.stats, self._host
        stats.upstream_rq_timeout.value += 1
        if self._permit is not None:
            self._give_back("timed out")
        if host is not None:
            host.rq_timeout += 1
            self._blame(host, outlier.TIMED_OUT, connected=not (self._waiting or self.responding))
        self._leave_upstream()
        self._end_retry(succeeded=False)
        if self.responding:
            self.flags |= Flag.UT
            self.details = "response_timeout"
            self._finish(cut=True)
            return
        stats.complete(504, 0.0)
        self.reply(504, TIMEOUT_BODY, "response_timeout", Flag.UT)

    def _slow_request(self) -> None:
        """request_timeout: the client took too long to send it."""
        self.manager.stats.downstream_rq_timeout.value += 1
        self._leave_upstream()
        self.reply(408, b"request timeout", "request_overall_timeout", 0, close=True)

    def _idle(self) -> None:
        self.manager.stats.downstream_rq_idle_timeout.value += 1
        if self._permit is not None and self.request_complete:
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
        self._timer = self.manager.loop.call_later(plan.policy.per_try_timeout, self._per_try_over)

    def _per_try_over(self) -> None:
        self._timer = None
        if self.responding or self._done:
            return
        self.cluster.stats.upstream_rq_per_try_timeout.value += 1
        if self._permit is not None:
            self._give_back("timed out")
        host = self._host
        if host is not None:
            host.rq_timeout += 1
            self._blame(host, outlier.TIMED_OUT, connected=True)
        self._leave_upstream()
        plan = self._plan
        if plan is not None and plan.wants_failure(Failure.PER_TRY_TIMEOUT) and self._again(0):
            self._schedule_retry()
            return
        self._end_retry(succeeded=False)
        self.cluster.stats.complete(504, 0.0)
        self.reply(504, TIMEOUT_BODY, "upstream_per_try_timeout", Flag.UT)
