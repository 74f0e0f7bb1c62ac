"""Retries: whether there is one more attempt, when it begins, and where it may not go. Which answers and failures are worth
one is `router.retry`'s to say, how long it waits `router.retry_backoff`'s."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.forward.state import StreamState
from sidecar.http.headers import put
from sidecar.http.response_flags import Flag
from sidecar.router.retry_backoff import backoff
from sidecar.router.retry_hosts import PreviousPriorities

if TYPE_CHECKING:
    from sidecar.router.retry import RetryPlan

PRIORITIES: Final = "previous priorities"  # under what name an exchange keeps them


class Retries(StreamState):
    """The phase between two attempts."""

    __slots__ = ()

    def _attempt(self) -> None:
        """Begins one."""
        raise NotImplementedError  # the phase of the attempts does

    def _claim_retry(self, status: int) -> bool:
        """Whether one more attempt is allowed; counts it when it is."""
        stats = self.cluster.stats
        if self.responding or not self._keep_body:
            return False
        if self._retries_left <= 0:
            stats.upstream_rq_retry_limit_exceeded.value += 1
            self.flags |= Flag.URX
            return False
        self._end_retry(succeeded=False)
        if not self.budget.may_retry():
            stats.upstream_rq_retry_overflow.value += 1
            self.flags |= Flag.UO
            return False
        self._retries_left -= 1
        self._retries += 1
        self._retrying = True
        self.budget.retries += 1
        stats.upstream_rq_retry.value += 1
        if status:
            stats.retried(status)
        return True

    def _schedule_retry(self, asked: float = 0.0, *, timed_out: bool = False) -> None:
        """After the back-off, or after the time that the response `asked`."""
        plan, stats = self._plan, self.cluster.stats
        assert plan is not None  # noqa: S101  # only a plan schedules
        if self.endpoint is not None and (plan.rejects or plan.policy.priority_frequency):
            self._tried.append(self.endpoint)
            self._leave_out(plan)
        if self.virtual_host.config.include_is_timeout_retry:
            put(self.headers, b"x-envoy-is-timeout-retry", b"true" if timed_out else b"false")
        if asked:
            stats.upstream_rq_retry_backoff_ratelimited.value += 1
        else:
            stats.upstream_rq_retry_backoff_exponential.value += 1
        delay = asked or backoff(plan.policy, self._retries, self.manager.rng)
        self._timer = self.manager.loop.call_later(delay, self._retry)

    def _leave_out(self, plan: RetryPlan) -> None:
        """Notes at which priority the last attempt was, for retries that go elsewhere."""
        frequency = plan.policy.priority_frequency
        if frequency and self.endpoint is not None:
            priorities = self.kept(PRIORITIES)
            if priorities is None:
                priorities = PreviousPriorities(frequency)
                self.keep(PRIORITIES, priorities)
            priorities.attempted(self.endpoint.locality.priority)

    def _retry(self) -> None:
        self._timer = None
        self._attempt()
