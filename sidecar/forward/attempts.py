"""Towards a host: picking one, and sending the request."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.forward.attempt import Attempt
from sidecar.forward.retries import PRIORITIES
from sidecar.forward.timeouts import Timeouts
from sidecar.http.headers import drop, put
from sidecar.http.response_flags import Flag
from sidecar.http.streams import NO_TRAILERS, Trailers
from sidecar.process.timers import NEVER
from sidecar.router.rewrite import rewrite_host

if TYPE_CHECKING:
    from sidecar.filters import Hold, Reply
    from sidecar.http.head import RequestHead
    from sidecar.http.streams import Upstream
    from sidecar.router.retry import RetryPlan
    from sidecar.router.retry_hosts import PreviousPriorities
    from sidecar.upstream.circuit import Circuit, Permit
    from sidecar.upstream.cluster import ClusterRuntime
    from sidecar.upstream.host import Host

# Whole seconds, which is what most time-outs are, rendered once.
_MILLISECONDS: Final = {float(seconds): b"%d000" % seconds for seconds in range(1, 121)}

EARLY: Final = "early"  # under what name an exchange keeps what a tunnel's far end said before its client did


class Attempts(Timeouts):
    """The phase between route and response."""

    __slots__ = ()

    def _attempt(self) -> None:
        mirrors = self.extensions.mirrors if self.extensions is not None else None
        if mirrors is None or not mirrors.due:
            self._try_host()
            return
        headers, authority = list(self.headers), self.authority
        self._try_host()
        if not self._done:
            mirrors.begin(headers, authority)

    def _try_host(self) -> None:
        """Picks a host and asks for a way to it."""
        cluster, permit = self.cluster, None
        assert cluster is not None  # noqa: S101  # else there would be nothing to attempt
        self.attempts += 1
        if cluster.circuit is not None and (permit := self._admitted(cluster.circuit)) is None:
            return
        host = self._pick(cluster)
        if host is None:
            if permit is not None:
                permit.circuit.cancelled(permit)
            cluster.stats.upstream_cx_none_healthy.value += 1
            cluster.stats.complete(503, 0.0)
            self.reply(503, b"no healthy upstream", "no_healthy_upstream", Flag.UH)
            return
        budget = self.budget
        if budget.requests >= budget.max_requests:
            cluster.stats.upstream_rq_active_overflow.value += 1
            self.endpoint = host
            if permit is not None:
                permit.circuit.cancelled(permit)
            self.on_overflow()
            return
        self.endpoint = host
        self.attempt = attempt = Attempt(self, cluster, host, permit)  # type: ignore[arg-type]  # each is a `Tunnels`
        if self.method == b"CONNECT":
            host.pool.acquire_dedicated(attempt)
        else:
            host.pool.acquire(attempt)

    def _admitted(self, circuit: Circuit) -> Permit | None:
        """Asks the circuit breaker; a request that it refuses is answered, and not tried again."""
        permit = circuit.admit(monotonic())
        if permit is not None:
            return permit
        self._end_retry(succeeded=False)
        self.cluster.stats.complete(503, 0.0)
        overloaded = () if self.manager.quiet else ((b"x-envoy-overloaded", b"true"),)
        self.reply(503, b"circuit breaker open", "mesh_circuit_breaker_open", Flag.UO, headers=overloaded)
        return None

    def _pick(self, cluster: ClusterRuntime) -> Host | None:
        if self._tried and self._plan is not None:
            return self._pick_elsewhere(cluster, self._plan)
        return cluster.pick(self)

    def _pick_elsewhere(self, cluster: ClusterRuntime, plan: RetryPlan) -> Host | None:
        """A retry's host: one that the policy does not pass over, if so many picks find one."""
        priorities: PreviousPriorities | None = self.kept(PRIORITIES)
        pick = (
            cluster.pick if priorities is None else cluster.picker_without(priorities.left_out(cluster.usable_without))
        )
        host = pick(self)
        for _ in range(plan.policy.host_selection_attempts):
            if host is None or not any(rejects(host, self._tried) for rejects in plan.rejects):
                break
            self.repicks += 1
            host = pick(self)
        self.repicks = 0
        return host

    def on_connection(self, attempt: Attempt, upstream: Upstream) -> None:
        """The pool's answer: the request is sent."""
        self._in_flight(attempt, upstream)
        head, body = self._finished_head(attempt.host), b"".join(self._body) if self._body else b""
        plan = self._plan
        if plan is None or not plan.enabled:
            self._forget_body()
        if self._body_size:  # the client may be held up: there was nowhere to send to, or a connection that is gone
            self.downstream.resume_reading()
        upstream.send(attempt, head, self.length, body, self.request_complete, self.request_trailers)
        if plan is not None and plan.timed and self.request_complete:
            self._start_per_try(plan)

    def _in_flight(self, attempt: Attempt, upstream: Upstream) -> None:
        """From here on the attempt is an active request."""
        attempt.waiting = False
        attempt.upstream = upstream
        attempt.budget.requests += 1
        attempt.host.rq_total += 1
        stats = attempt.cluster.stats
        stats.upstream_rq_total.value += 1
        stats.upstream_rq_active.value += 1
        self.upstream_failure = ""
        self.upstream_local = upstream.local
        if not self.upstream_started:
            self.upstream_started = monotonic()
        if self.extensions is not None:
            self.extensions.limit_time(attempt)

    def _finished_head(self, host: Host) -> RequestHead:
        """The head of this attempt."""
        headers = self.headers
        timeout = b"" if self.manager.quiet else self._expected_timeout()
        if timeout:
            if self.attempts == 1 and b"x-envoy-expected-rq-timeout-ms" not in self.indexed_headers:  # the usual case
                headers.append((b"x-envoy-expected-rq-timeout-ms", timeout))
            else:
                put(headers, b"x-envoy-expected-rq-timeout-ms", timeout)
        if self.route.tells_attempts:
            put(headers, b"x-envoy-attempt-count", b"%d" % self.attempts)
        if self.route.host_from_upstream and host.endpoint.hostname:
            name = host.endpoint.hostname.encode()
            rewrite_host(self, name, append_forwarded=self.route.appends_forwarded_host)
        if self.manager.quiet:
            self._drop_rewritten()
        head = self.head
        head.method, head.target, head.authority, head.headers = self.method, self.path, self.authority, headers
        head.upgrade = self._upgrade
        return head

    def _drop_rewritten(self) -> None:
        """Nobody is told what a rewrite has replaced."""
        if self.original_path:
            drop(self.headers, b"x-envoy-original-path")
            self.original_path = b""  # which is that header to logs and spans
        if self.original_authority:
            drop(self.headers, b"x-envoy-original-host")

    def _expected_timeout(self) -> bytes:
        """x-envoy-expected-rq-timeout-ms: what is left for this attempt, b"" without a time-out."""
        left = self._timeout
        if self.attempts > 1 and left:
            left = max(left - (monotonic() - self.upstream_started), 0.001)
        plan = self._plan
        if (
            plan is not None
            and plan.per_try_timeout
            and (not left or plan.per_try_timeout < left)
            and (self.extensions is None or self.extensions.hedging is None)  # then it may take as long as the request
        ):
            left = plan.per_try_timeout
        if not left:
            return b""
        return _MILLISECONDS.get(left) or b"%d" % (left * 1000)

    # ── the request's body ────────────────────────────────────────────────────────────────────────────────────────────

    def on_request_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        if self.extensions is not None:
            goes_on = self.extensions.on_request_body(data, end, trailers)
            if goes_on is None:
                return
            data, trailers = goes_on
        self.bytes_received += len(data)
        if self.grpc is not None:
            self.grpc.requests.feed(data)
        upstream = self.attempt.upstream if self.attempt is not None else None
        if self._tunneling:
            self._touched = monotonic()
            if early := self.kept(EARLY):  # so this is no HTTP/2, and the far end spoke first
                self.keep(EARLY, b"")
                self.downstream.send_body(early, False)
            if upstream is not None:
                upstream.write(data, end, trailers)
            return
        if end:
            self.request_complete = True
            self.request_trailers = trailers
            if not self._forwarding:
                self._deadline_at = NEVER  # request_timeout is kept; the route's begins with the forwarding
            elif not self._done:
                self._request_ended()
        if data and self._keep_body:
            self._body.append(data)
            self._body_size += len(data)
            if self._held is None:
                self._check_buffer(upstream)
        if self._held is not None:
            self._hold(self._held[0], end)
        if self._done:
            return
        self._touched = monotonic()
        if upstream is not None:
            upstream.write(data, end, trailers)
            if end and self._plan is not None and self._plan.timed:
                self._start_per_try(self._plan)

    def _hold(self, hold: Hold, end: bool) -> None:
        """A filter waits for the whole body."""
        raise NotImplementedError  # the phase of the filters does

    def _check_buffer(self, upstream: Upstream | None) -> None:
        """What is kept is bounded: too much of it ends the chance of a retry, or holds up the client."""
        if self._body_size <= self._body_limit:
            return
        self._give_up_retries()
        if upstream is None:
            self.downstream.pause_reading()
        else:
            self._forget_body()

    def _give_up_retries(self) -> None:
        """More of the body than may be kept."""
        if self.extensions is not None and self.extensions.redirects is not None:
            self.extensions.redirects.give_up_body()
        if self._plan is not None and self._plan.enabled:
            self.cluster.stats.retry_or_shadow_abandoned.value += 1
            self._plan = self._plan.barred()

    def on_bad_body(self, detail: str) -> None:
        """The client's body is not framed as it must be."""
        self._leave_upstream()
        if self.responding:
            self.flags |= Flag.DPE
            self._finish(cut=True)
        else:
            self.reply(400, b"Bad Request", detail, Flag.DPE, close=True)

    def refuse_body(self, reply: Reply) -> None:
        """A filter can make nothing of the client's body."""
        self._leave_upstream()
        self._held = None
        if self.responding:
            self.details = reply.detail
            self._finish(cut=True)
        else:
            self._answer(reply)
