"""Attempts without a whole response: no connection, a reset before the response or in the middle of it, a limit of the
cluster. What that says of the host, and what the client is told."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.config.model import Resend, RetryPolicy
from sidecar.forward.retries import Retries
from sidecar.http.local_reply import reset_body
from sidecar.http.response_flags import Flag
from sidecar.http.streams import ResetReason
from sidecar.router.retry import Failure, RetryPlan
from sidecar.upstream import outlier
from sidecar.upstream.dial import DialError

if TYPE_CHECKING:
    from sidecar.forward.attempt import Attempt
    from sidecar.telemetry.stats import PoolStats
    from sidecar.upstream.host import Host

# Methods that may be repeated (RFC 9110 9.2.2).
IDEMPOTENT: Final = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"TRACE"))
# So often a request may meet a closed connection: a host that went away leaves some of them.
RESENDS: Final = 3
_RESENT: Final = "resent"  # under what name an exchange keeps how often
# Retries nothing, and keeps the body.
_KEEPING: Final = RetryPlan(RetryPolicy(frozenset()))
_KEEPING.enabled = True

# What a reset is in the log; others are UR.
RESET_FLAGS: Final = {
    ResetReason.PROTOCOL_ERROR: Flag.UPE,
    ResetReason.CONNECTION_TERMINATION: Flag.UC,
}


class UpstreamResets(Retries):
    """The phase after an attempt that failed by itself, whether its response had begun or not."""

    __slots__ = ()

    def on_pending_overflow(self) -> None:
        """Too many requests wait for a connection already; this one never got as far as its host."""
        self.endpoint = None
        self.on_overflow()

    def on_overflow(self) -> None:
        """A circuit-breaker limit is reached; never retried."""
        self._detach()
        self._failed(Failure.OVERFLOW, "overflow", Flag.UO, 503)

    def on_connect_failure(self, attempt: Attempt, failure: DialError) -> None:
        self._give_back("no connection")
        self._detach()
        attempt.host.rq_error += 1
        status = outlier.TIMED_OUT if failure.timed_out else outlier.CONNECT_FAILED
        self._blame(attempt.host, status, connected=False)
        self.upstream_failure = failure.reason.replace(" ", "_")
        reason = "connection timeout" if failure.timed_out else "remote connection failure"
        self._failed(Failure.CONNECT, reason, Flag.UF, 503)

    def on_upstream_reset(self, attempt: Attempt, reason: ResetReason, *, stale: bool = False) -> None:
        """The attempt ended without a (whole) response."""
        if self._done:
            return
        if attempt is not self.attempt and self.extensions is not None and self.extensions.hedging is not None:
            self.extensions.hedging.on_late_reset(attempt, reason)
            return
        if self.cluster.pool_stats is not None and stale and self._may_resend(reason):
            self._resend(self.cluster.pool_stats)
            return
        self._give_back("the connection ended")
        self._detach()
        protocol_error = reason is ResetReason.PROTOCOL_ERROR
        flag = RESET_FLAGS.get(reason, Flag.UR)
        attempt.host.rq_error += 1
        self._blame(attempt.host, outlier.RESET, connected=not self.responding)
        if self.responding:
            self.flags |= flag
            self.details = f"upstream_reset_after_response_started{{{reason.value.replace(' ', '_')}}}"
            self._finish(cut=True)
            return
        failure = Failure.REFUSED if reason.unprocessed else Failure.RESET
        self._failed(failure, reason.value, flag, 502 if protocol_error else 503)

    def keep_for_resend(self) -> None:
        """The pool's word that a request which meets a closed connection is sent again: its body has to be there."""
        if self._plan is None:
            self._plan = _KEEPING

    def _may_resend(self, reason: ResetReason) -> bool:
        """Whether the host had closed the connection before it saw the request, as far as can be told, and it is
        whole, and may be sent once more than needed."""
        resend = self.cluster.config.resend
        return (
            reason is ResetReason.CONNECTION_TERMINATION
            and not self.responding
            and self.request_complete
            and (self._keep_body or not self._body_size)
            and (resend is Resend.ALWAYS or (resend is Resend.IDEMPOTENT and self.method in IDEMPOTENT))
            and (self.kept(_RESENT) or 0) < RESENDS
        )

    def _resend(self, stats: PoolStats) -> None:
        """The host is not to blame, and no retry is spent: it was only asked over a connection that was gone."""
        self._detach()
        self.keep(_RESENT, (self.kept(_RESENT) or 0) + 1)
        stats.resent.value += 1
        self._attempt()

    def _failed(self, failure: Failure, reason: str, flag: int, status: int) -> None:
        """An attempt ended without a response: again, or tell the client."""
        hedging = self.extensions.hedging if self.extensions is not None else None
        if hedging is not None and hedging.waits_for_others(failure, status):
            return
        plan = self._plan
        if plan is not None and plan.wants_failure(failure) and self._claim_retry(0):
            self._schedule_retry()
            return
        self._end_retry(succeeded=False)
        retried = self._retries > 0
        why = reason.replace(" ", "_")
        if self.upstream_failure:
            why += "|" + self.upstream_failure
        overloaded = failure is Failure.OVERFLOW and not self.manager.quiet
        headers = ((b"x-envoy-overloaded", b"true"),) if overloaded else ()
        self.cluster.stats.complete(status, 0.0)
        details = f"upstream_reset_before_response_started{{{why}}}"
        self.reply(status, reset_body(reason, retried), details, flag, headers=headers)

    def _blame(self, host: Host, status: int, *, connected: bool) -> None:
        detector = self.cluster.outlier
        if detector is not None:
            detector.on_local_failure(host, status, monotonic(), connected=connected)
