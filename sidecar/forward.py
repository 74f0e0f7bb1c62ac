"""The way of one request: filters, route, host, connection, response; and back again when an attempt fails.

`Stream` is the exchange with its behaviour. Connections call it directly: no task, generator or event object on the
common path; a timer where something has to wait. It reads in the order in which things happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sidecar.codec.framing import CHUNKED, LAST_CHUNK, UNTIL_CLOSE, chunk
from sidecar.codec.headers import Headers, put
from sidecar.codec.heads import RequestParser, ResponseParser
from sidecar.codec.local_reply import is_grpc, reply_headers, reset_body
from sidecar.codec.render import request_head, response_head
from sidecar.config.model import Forward, Redirect
from sidecar.exchange import Exchange, Flag
from sidecar.filters import Delay, Reply, Step, Wait
from sidecar.router.retry import Failure, RetryPlan, number, with_client_wishes
from sidecar.router.rewrite import redirect_location
from sidecar.upstream import outlier
from sidecar.upstream.dial import DialError

if TYPE_CHECKING:
    from sidecar.codec.h1_client import ClientConnection
    from sidecar.codec.h1_server import ServerConnection
    from sidecar.connection_manager import ConnectionManager
    from sidecar.router.table import CompiledRoute, Destination
    from sidecar.upstream.cluster import ClusterRuntime
    from sidecar.upstream.host import Host
    from sidecar.upstream.limits import Budget

_NEVER: Final = float("inf")
_TIMEOUT_BODY: Final = b"upstream request timeout"
_WISHES: Final = frozenset(
    (
        b"x-envoy-max-retries",
        b"x-envoy-retriable-status-codes",
        b"x-envoy-retry-grpc-on",
        b"x-envoy-retry-on",
        b"x-envoy-upstream-rq-per-try-timeout-ms",
        b"x-envoy-upstream-rq-timeout-ms",
    )
)


class Stream(Exchange):
    """One request in progress."""

    __slots__ = (
        "_avoid",
        "_body",
        "_body_size",
        "_counted",
        "_deadline_at",
        "_destination",
        "_done",
        "_filter_done",
        "_host",
        "_keep_body",
        "_plan",
        "_retries",
        "_retries_left",
        "_retrying",
        "_timeout",
        "_timer",
        "_touched",
        "_tunneling",
        "_upgrade",
        "_waiting",
        "budget",
        "connection",
        "deadline",
        "hold",
        "length",
        "manager",
        "request_complete",
        "responding",
    )

    manager: ConnectionManager
    downstream: ServerConnection

    def __init__(self, downstream: Any, parser: RequestParser, length: int, now: float) -> None:
        super().__init__(downstream, parser.method, parser.target, parser.headers, now)
        self.special = parser.special
        self.noted = parser.noted
        if parser.http10:
            self.protocol = "HTTP/1.0"
        self.length = length
        self.request_complete = length == 0
        self.responding = False  # the response's head has been sent
        self.hold = False  # body pieces are only collected: the stream has not started yet
        self.connection: ClientConnection | None = None
        self.budget: Budget = None  # type: ignore[assignment]  # set with the cluster
        self.deadline = _NEVER
        self._touched = now
        self._deadline_at = _NEVER  # of the whole request
        self._timeout = 0.0
        self._body: list[bytes] = []  # what came of the body, while it may have to be sent (again)
        self._body_size = 0
        self._keep_body = True
        self._plan: RetryPlan | None = None
        self._retries_left = 0
        self._retries = 0
        self._retrying = False  # a retry was decided and counts against the budget
        self._avoid: list[Host] = []
        self._destination: Destination | None = None
        self._host: Host | None = None  # of the attempt in progress
        self._counted = False  # the attempt counts as an active request
        self._waiting = False  # for a connection
        self._timer: asyncio.Handle | None = None
        self._filter_done: Callable[[], None] | None = None
        self._upgrade = b""
        self._tunneling = False  # bytes pass as they are
        self._done = False

    @classmethod
    def refused(cls, downstream: Any, manager: ConnectionManager, now: float) -> Stream:
        """A stream for what is not a request: it only carries the answer to the client and the log."""
        stream = cls(downstream, RequestParser(), 0, now)
        stream.manager = manager
        stream.protocol = ""
        manager.stats.downstream_rq_total.value += 1
        manager.stats.downstream_rq_active.value += 1
        return stream

    # ── begin: policy, route, filters ─────────────────────────────────────────────────────────────────────────────────

    def start(self, manager: ConnectionManager) -> None:
        """The head is there."""
        self.manager = manager
        stats = manager.stats
        stats.downstream_rq_total.value += 1
        stats.downstream_rq_http1_total.value += 1
        stats.downstream_rq_active.value += 1
        refusal = manager.admit(self)
        if refusal is not None:
            self._answer(refusal)
            return
        if manager.tracer is not None:
            manager.tracer.begin(self)
        special = self.special
        if b"upgrade" in special and not self._wants_upgrade(special[b"upgrade"]):
            return
        manager.active.add(self)
        self._set_deadline()
        route = manager.routes.find(self)
        if route is None:
            manager.stats.no_route.value += 1
            self.reply(404, b"", "route_not_found", Flag.NR, close=self.method == b"CONNECT")
            return
        self.route = route
        self.virtual_host = route.virtual_host
        if route.filters:
            self._run(route.filters, 0)
        else:
            self._act(route)

    def _wants_upgrade(self, upgrade: bytes) -> bool:
        """Whether the request goes on: an upgrade that is not enabled is refused (h2c is ignored, as in Envoy)."""
        if b"upgrade" not in self.special.get(b"connection", b"").lower():
            return True
        protocol = upgrade.lower()
        if protocol.decode("latin-1") in self.manager.config.upgrades:
            self._upgrade = protocol
            return True
        if protocol == b"h2c":
            return True
        self.reply(403, b"", "upgrade_failed", 0, close=True)
        return False

    def _run(self, steps: tuple[Step, ...], at: int) -> None:
        """The filters' steps from `at` on; a step that waits is the only one that costs a timer or a task."""
        for index in range(at, len(steps)):
            decision = steps[index](self)
            if decision is None:
                continue
            if isinstance(decision, Reply):
                self._answer(decision)
            elif isinstance(decision, Delay):
                self._filter_done = decision.done
                self._timer = self.manager.loop.call_later(decision.seconds, self._delayed, steps, index + 1)
            else:
                self.manager.tasks.start(self._wait(decision, steps, index + 1), "filter")
            return
        self._act(self.route)

    def _delayed(self, steps: tuple[Step, ...], at: int) -> None:
        self._timer = None
        self._end_delay()
        self._run(steps, at)

    def _end_delay(self) -> None:
        done, self._filter_done = self._filter_done, None
        if done is not None:
            done()

    async def _wait(self, decision: Wait, steps: tuple[Step, ...], at: int) -> None:
        answer = await decision.work()
        if self._done:
            return
        if isinstance(answer, Reply):
            self._answer(answer)
        else:
            self._run(steps, at)

    def _act(self, route: CompiledRoute) -> None:
        action = route.action
        if isinstance(action, Forward):
            self._forward(route, action)
        elif isinstance(action, Redirect):
            self.manager.stats.rq_redirect.value += 1
            location = redirect_location(action, route.path_rewrite, self)
            self._direct(action.code, [(b"location", location)], b"", route)
        else:
            self.manager.stats.rq_direct_response.value += 1
            self._direct(action.status, [], action.body, route)

    def _direct(self, status: int, headers: Headers, body: bytes, route: CompiledRoute) -> None:
        self.details = "direct_response"
        if body:
            headers += [(b"content-length", b"%d" % len(body)), (b"content-type", b"text/plain")]
        for mutate in route.response_ops:
            mutate(self, headers)
        self._local(status, headers, body)

    # ── forward: cluster, time-outs, attempts ─────────────────────────────────────────────────────────────────────────

    def _forward(self, route: CompiledRoute, action: Forward) -> None:
        manager = self.manager
        manager.stats.rq_total.value += 1
        self._destination = destination = route.draw()
        self.cluster_name = destination.cluster
        cluster = manager.clusters.get(destination.cluster)
        if cluster is None:
            manager.stats.no_cluster.value += 1
            self.reply(action.cluster_not_found_code, b"", "cluster_not_found", Flag.NC)
            return
        self.cluster = cluster
        self.budget = cluster.high_budget if action.high_priority else cluster.budget
        self._timeout = action.timeout
        plan = route.retry
        if not _WISHES.isdisjoint(self.noted):
            plan = self._client_wishes(plan)
        if plan is not None:
            self._plan = plan
            self._retries_left = plan.policy.attempts
        self._rewrite(route, action, destination)
        if self.request_complete:
            self._request_ended()
        self._attempt()

    def _client_wishes(self, plan: RetryPlan | None) -> RetryPlan | None:
        """x-envoy-* request headers change time-out and retries."""
        timeout = number(self.noted.get(b"x-envoy-upstream-rq-timeout-ms"))
        if timeout is not None:
            self._timeout = timeout / 1000
        policy = with_client_wishes(plan.policy if plan is not None else None, self.noted)
        return RetryPlan(policy) if policy is not None else None

    def _rewrite(self, route: CompiledRoute, action: Forward, destination: Destination) -> None:
        """What the route makes of path, host and headers."""
        headers = self.headers
        if route.path_rewrite is not None:
            self.original_path = self.path
            self.path = route.path_rewrite(self.path)
            put(headers, b"x-envoy-original-path", self.original_path)
        host = destination.host_rewrite or route.host_rewrite
        if host:
            self._rewrite_host(host, action)
        for mutate in destination.request_ops:
            mutate(self, headers)
        if self.manager.outbound:
            headers += self.manager.peer_headers

    def _rewrite_host(self, host: bytes, action: Forward) -> None:
        rewrite = action.rewrite
        if rewrite is not None and rewrite.append_forwarded_host and self.authority:
            self.headers.append((b"x-forwarded-host", self.authority))
        self.original_authority = self.authority
        self.authority = host
        put(self.headers, b"x-envoy-original-host", self.original_authority)

    def _attempt(self) -> None:
        """Picks a host and asks for a connection to it."""
        cluster = self.cluster
        self.attempts += 1
        host = self._pick(cluster)
        if host is None:
            cluster.stats.upstream_cx_none_healthy.value += 1
            self.reply(503, b"no healthy upstream", "no_healthy_upstream", Flag.UH)
            return
        budget = self.budget
        if budget.requests >= budget.max_requests:
            cluster.stats.upstream_rq_pending_overflow.value += 1
            self.on_overflow()
            return
        self.endpoint = self._host = host
        host.active += 1
        host.rq_total += 1
        cluster.stats.upstream_rq_total.value += 1
        self._waiting = True
        if self.method == b"CONNECT":
            host.pool.acquire_dedicated(self)
        else:
            host.pool.acquire(self)

    def _pick(self, cluster: ClusterRuntime) -> Host | None:
        host = cluster.pick(self)
        if self._avoid and self._plan is not None:
            for _ in range(self._plan.policy.host_selection_attempts):
                if host not in self._avoid:
                    break
                host = cluster.pick(self)
        return host

    def on_connection(self, connection: ClientConnection) -> None:
        """The pool's answer: from here on the attempt is in flight."""
        self._waiting = False
        self.upstream_failure = ""
        self.connection = connection
        self.upstream_local = connection.local
        self.budget.requests += 1
        self._counted = True
        self.cluster.stats.upstream_rq_active.value += 1
        if not self.upstream_started:
            self.upstream_started = monotonic()
        if self.method == b"CONNECT":
            self._tunnel_to(connection)
            return
        data = self._head()
        body = self._body
        if body:
            data += b"".join(self._framed(piece) for piece in body)
        if self.request_complete and self.length == CHUNKED:
            data += LAST_CHUNK
        if not self._keep_body:
            self._body = []
        connection.send(self, data, self.request_complete)
        plan = self._plan
        if plan is not None:
            if plan.policy.per_try_timeout and self.request_complete:
                self._start_per_try(plan)
        else:
            self._keep_body = False
            self._body = []

    def _head(self) -> bytes:
        """The head of this attempt."""
        headers = self.headers
        timeout = self._expected_timeout()
        if timeout:
            if self.attempts == 1 and b"x-envoy-expected-rq-timeout-ms" not in self.noted:
                headers.append((b"x-envoy-expected-rq-timeout-ms", timeout))
            else:
                put(headers, b"x-envoy-expected-rq-timeout-ms", timeout)
        vhost = self.virtual_host.config
        if vhost.include_attempt_count:
            put(headers, b"x-envoy-attempt-count", b"%d" % self.attempts)
        if self.attempts == 1:
            if self.length == CHUNKED:
                headers.append((b"transfer-encoding", b"chunked"))
            elif self.length or b"content-length" in self.special or self.method in _BODY_METHODS:
                headers.append((b"content-length", b"%d" % self.length))
            if self._upgrade:
                headers += [(b"connection", b"upgrade"), (b"upgrade", self._upgrade)]
        return request_head(self.method, self.path, self.authority, headers)

    def _expected_timeout(self) -> bytes:
        """x-envoy-expected-rq-timeout-ms: what is left for this attempt, b"" without a time-out."""
        left = self._timeout
        if self.attempts > 1 and left:
            left = max(left - (monotonic() - self.upstream_started), 0.001)
        plan = self._plan
        if plan is not None and plan.policy.per_try_timeout and (not left or plan.policy.per_try_timeout < left):
            left = plan.policy.per_try_timeout
        return b"%d" % (left * 1000) if left else b""

    def on_overflow(self) -> None:
        """A circuit-breaker limit is reached; never retried."""
        self._detach()
        self._failed(Failure.OVERFLOW, "overflow", Flag.UO, 503)

    def on_connect_failure(self, failure: DialError) -> None:
        self._waiting = False
        host = self._host
        self._detach()
        if host is not None:
            host.rq_error += 1
            self._blame(host, outlier.TIMED_OUT if failure.timed_out else outlier.CONNECT_FAILED)
        self.upstream_failure = failure.reason
        reason = "connection timeout" if failure.timed_out else "remote connection failure"
        self._failed(Failure.CONNECT, reason, Flag.UF, 503)

    # ── the request's body ────────────────────────────────────────────────────────────────────────────────────────────

    def on_request_body(self, data: bytes, end: bool) -> None:
        """A piece of the body (decoded of its coding); on a tunnel, whatever the client sent."""
        self.bytes_received += len(data)
        connection = self.connection
        if self._tunneling:
            if connection is not None:
                connection.write(data, False)
            return
        if end:
            self.request_complete = True
            if self.cluster is not None and not self._done:
                self._request_ended()
        if data and self._keep_body:
            self._body.append(data)
            self._body_size += len(data)
            self._check_buffer(connection)
        if self.hold or self._done:
            return
        self._touched = monotonic()
        if connection is not None:
            framed = self._framed(data) if data else b""
            if end and self.length == CHUNKED:
                framed += LAST_CHUNK
            connection.write(framed, end)
            if end and self._plan is not None and self._plan.policy.per_try_timeout:
                self._start_per_try(self._plan)

    def _check_buffer(self, connection: ClientConnection | None) -> None:
        """What is kept is bounded: too much of it ends the chance of a retry, or holds up the client."""
        limit = self.cluster.config.buffer_limit if self.cluster is not None else _DEFAULT_BUFFER
        if self._body_size <= limit:
            return
        if connection is None:
            self.downstream.pause_reading()
            return
        if self._plan is not None:
            self.cluster.stats.retry_or_shadow_abandoned.value += 1
        self._plan = None
        self._keep_body = False
        self._body = []

    def _framed(self, data: bytes) -> bytes:
        return chunk(data) if self.length == CHUNKED else data

    def _request_ended(self) -> None:
        """The client has sent everything: from now on the route's time-out counts."""
        if self._timeout:
            self._deadline_at = monotonic() + self._timeout
            self._set_deadline()

    def on_bad_body(self, detail: str) -> None:
        """The client's body is not framed as it must be."""
        self._leave_upstream()
        if self.responding:
            self.flags |= Flag.DPE
            self._finish(cut=True)
        else:
            self.reply(400, b"Bad Request", detail, Flag.DPE, close=True)

    # ── the response ──────────────────────────────────────────────────────────────────────────────────────────────────

    def on_response(self, head: ResponseParser, length: int, body: bytes, end: bool) -> None:
        """The response's head, and what came with it of its body; `end` when that is all."""
        status, headers = head.status, head.headers
        now = monotonic()
        host = self._host
        if host is not None:
            if status < 500:
                host.rq_success += 1
            else:
                host.rq_error += 1
            detector = self.cluster.outlier
            if detector is not None:
                detector.on_status(host, status, now)
        plan = self._plan
        if plan is not None and plan.wants_status(status, headers) and self._again(status):
            self._leave_upstream() if not end else self._detach()
            self._schedule_retry()
            return
        if end:
            self._detach()
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end_retry(succeeded=True)
        self.cluster.stats.complete(status, (now - self.upstream_started) * 1000)
        self._keep_body = False
        self._body = []
        self.details = "via_upstream"
        self._touched = now
        self._deliver(head, length, body, end, now)

    def _deliver(self, head: ResponseParser, length: int, body: bytes, end: bool, now: float) -> None:
        """Finishes the response's headers and sends it on."""
        manager, special, headers = self.manager, head.special, head.headers
        self.status = status = head.status
        self.responding = True
        if b"connection" in special:
            _drop_nominated(headers, special[b"connection"])
        headers.append((b"x-envoy-upstream-service-time", b"%d" % ((now - self.upstream_started) * 1000)))
        if self.virtual_host.config.include_attempt_count_in_response:
            headers.append((b"x-envoy-attempt-count", b"%d" % self.attempts))
        destination = self._destination
        if destination is not None and destination.response_ops:
            for mutate in destination.response_ops:
                mutate(self, headers)
        if manager.outbound:
            peer = special.get(b"x-envoy-peer-metadata")
            if peer is not None:
                self.peer = manager.decode_peer(peer)
        elif manager.inbound and b"x-envoy-peer-metadata-id" in self.special:
            headers += manager.peer_headers
        headers.append((b"date", special.get(b"date") or manager.date()))
        self._server(headers, special.get(b"server"))
        self.response_headers = headers
        self.bytes_sent += len(body)
        announced = special.get(b"content-length")
        if end:  # accounted before its last bytes leave: whoever has the answer finds it in the metrics
            self._finish()
        downstream = self.downstream
        if self.method == b"HEAD" or status == 304:
            downstream.respond_without_body(status, headers, announced if status != 304 else announced or b"")
        elif length == CHUNKED or length == UNTIL_CLOSE:
            downstream.respond(status, headers, None, body, end)
        else:
            downstream.respond(status, headers, b"" if status == 204 else announced, body, end)

    def _server(self, headers: Headers, upstream: bytes | None) -> None:
        manager = self.manager
        if upstream is not None and not manager.overwrites_server:
            headers.append((b"server", upstream))
        elif manager.adds_server:
            headers.append((b"server", manager.server_name))

    def on_response_body(self, data: bytes, end: bool) -> None:
        """A further piece of the response's body; on a tunnel, whatever the upstream sent."""
        self.bytes_sent += len(data)
        self._touched = monotonic()
        if self._tunneling:
            self.downstream.write_raw(data)
            return
        if end:
            self._detach()
            self._finish()
            self.downstream.send_body(data, True)
        else:
            self.downstream.send_body(data, False)

    # ── attempts that fail ────────────────────────────────────────────────────────────────────────────────────────────

    def on_upstream_reset(self, reason: str, connection: ClientConnection) -> None:
        """The connection ended, or what came over it is not HTTP."""
        if self._done:
            return
        host = self._host
        self._detach()
        self.cluster.stats.upstream_rq_rx_reset.value += 1
        protocol_error = reason == "protocol error"
        flag = Flag.UPE if protocol_error else Flag.UC
        if host is not None:
            host.rq_error += 1
            self._blame(host, outlier.RESET)
        if self.responding:
            self.flags |= flag
            self.details = f"upstream_reset_after_response_started{{{reason.replace(' ', '_')}}}"
            self.manager.stats.rq_reset_after_downstream_response_started.value += 1
            self._finish(cut=True)
            return
        self._failed(Failure.RESET, reason, flag, 502 if protocol_error else 503)

    def _failed(self, failure: Failure, reason: str, flag: int, status: int) -> None:
        """An attempt ended without a response: again, or tell the client."""
        plan = self._plan
        if plan is not None and plan.wants_failure(failure) and self._again(0):
            self._schedule_retry()
            return
        self._end_retry(succeeded=False)
        retried = self._retries > 0
        why = reason.replace(" ", "_")
        if self.upstream_failure:
            why += "|" + self.upstream_failure.replace(" ", "_")
        headers = ((b"x-envoy-overloaded", b"true"),) if failure is Failure.OVERFLOW else ()
        self.cluster.stats.complete(status, 0.0)
        details = f"upstream_reset_before_response_started{{{why}}}"
        self.reply(status, reset_body(reason, retried), details, flag, headers=headers)

    def _blame(self, host: Host, status: int) -> None:
        detector = self.cluster.outlier
        if detector is not None:
            detector.on_local_failure(host, status, monotonic())

    def _again(self, status: int) -> bool:
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
        stats.upstream_rq_retry_backoff_exponential.value += 1
        if status:
            stats.retried(status)
        return True

    def _end_retry(self, *, succeeded: bool) -> None:
        if self._retrying:
            self._retrying = False
            self.budget.retries -= 1
            if succeeded:
                self.cluster.stats.upstream_rq_retry_success.value += 1

    def _schedule_retry(self) -> None:
        plan = self._plan
        assert plan is not None  # noqa: S101  # only a plan schedules
        if plan.policy.avoid_previous_hosts and self.endpoint is not None:
            self._avoid.append(self.endpoint)
        delay = plan.backoff(self._retries, self.manager.rng)
        self._timer = self.manager.loop.call_later(delay, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self._attempt()

    # ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _set_deadline(self) -> None:
        idle = self.manager.config.stream_idle_timeout
        self.deadline = min(self._deadline_at, self._touched + idle if idle else _NEVER)

    def on_deadline(self, now: float) -> None:
        """A limit may be reached: the request's time-out, or nothing has moved for too long."""
        if now >= self._deadline_at and not self.responding:
            self.cluster.stats.upstream_rq_timeout.value += 1
            host = self._host
            if host is not None:
                host.rq_timeout += 1
                self._blame(host, outlier.TIMED_OUT)
            self._leave_upstream()
            self._end_retry(succeeded=False)
            self.reply(504, _TIMEOUT_BODY, "response_timeout", Flag.UT)
            return
        if now >= self._deadline_at:  # the head was in time; from there on only idleness ends a response
            self._deadline_at = _NEVER
        idle = self.manager.config.stream_idle_timeout
        if idle and now - self._touched >= idle:
            self._idle()
            return
        self._set_deadline()

    def _idle(self) -> None:
        self.manager.stats.downstream_rq_idle_timeout.value += 1
        self._leave_upstream()
        if self.responding:
            self.flags |= Flag.SI
            self._finish(cut=True)
        else:
            self.reply(504 if self.request_complete else 408, b"stream timeout", "stream_idle_timeout", Flag.SI, close=True)

    def _start_per_try(self, plan: RetryPlan) -> None:
        self._timer = self.manager.loop.call_later(plan.policy.per_try_timeout, self._per_try_over)

    def _per_try_over(self) -> None:
        self._timer = None
        if self.responding or self._done:
            return
        self.cluster.stats.upstream_rq_per_try_timeout.value += 1
        host = self._host
        if host is not None:
            host.rq_timeout += 1
            self._blame(host, outlier.TIMED_OUT)
        self._leave_upstream()
        plan = self._plan
        if plan is not None and plan.wants_failure(Failure.PER_TRY_TIMEOUT) and self._again(0):
            self._schedule_retry()
            return
        self._end_retry(succeeded=False)
        self.reply(504, _TIMEOUT_BODY, "upstream_per_try_timeout", Flag.UT)

    # ── flow control: each side's blocked writes pause the other side's reads ─────────────────────────────────────────

    def on_client_blocked(self) -> None:
        if self.connection is not None:
            self.cluster.stats.upstream_flow_control_paused_reading_total.value += 1
            self.connection.transport.pause_reading()

    def on_client_ready(self) -> None:
        if self.connection is not None:
            self.cluster.stats.upstream_flow_control_resumed_reading_total.value += 1
            self.connection.transport.resume_reading()

    def on_upstream_blocked(self) -> None:
        self.manager.stats.downstream_flow_control_paused_reading_total.value += 1
        self.downstream.pause_reading()

    def on_upstream_ready(self) -> None:
        self.manager.stats.downstream_flow_control_resumed_reading_total.value += 1
        self.downstream.resume_reading()

    # ── tunnels ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_switching(self, head: ResponseParser) -> None:
        """The upstream agreed to the upgrade."""
        connection = self.connection
        if connection is None:
            return
        self._begin_tunnel(101)
        headers = head.headers
        headers.append((b"x-envoy-upstream-service-time", b"%d" % ((monotonic() - self.upstream_started) * 1000)))
        headers.append((b"date", head.special.get(b"date") or self.manager.date()))
        self._server(headers, head.special.get(b"server"))
        if self._upgrade:
            headers += [(b"connection", b"upgrade"), (b"upgrade", head.special.get(b"upgrade", self._upgrade))]
        self.response_headers = headers
        self.cluster.stats.complete(101, (monotonic() - self.upstream_started) * 1000)
        self.downstream.switch(response_head(101, headers))
        connection.tunnel(self)

    def _tunnel_to(self, connection: ClientConnection) -> None:
        """CONNECT: the connection itself is the answer."""
        self._begin_tunnel(200)
        headers: Headers = [(b"date", self.manager.date())]
        self._server(headers, None)
        self.response_headers = headers
        connection.tunnel(self)
        self.downstream.switch(response_head(200, headers))

    def _begin_tunnel(self, status: int) -> None:
        self.status = status
        self.details = "via_upstream"
        self.responding = True
        self._tunneling = True
        self._keep_body = False
        self._body = []
        self._deadline_at = _NEVER
        self.manager.stats.downstream_cx_upgrades_total.value += 1
        self.manager.stats.downstream_cx_upgrades_active.value += 1

    def on_client_half_closed(self) -> None:
        if self.connection is not None:
            self.connection.write_eof()

    def on_upstream_half_closed(self) -> None:
        self.downstream.write_eof()

    def on_upstream_closed(self, error: Exception | None) -> None:
        """The tunnel's far end is gone."""
        if self._done:
            return
        self._detach()
        if error is not None:
            self.flags |= Flag.UC
        self._finish(cut=True)

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, reply: Reply) -> None:
        close = any(name == b"connection" for name, _ in reply.headers)
        headers = tuple(header for header in reply.headers if header[0] != b"connection")
        self.reply(
            reply.status, reply.body, reply.detail, reply.flags, headers=headers, grpc_status=reply.grpc_status, close=close
        )

    def reply(
        self,
        status: int,
        body: bytes,
        details: str,
        flags: int,
        *,
        headers: Any = (),
        grpc_status: int | None = None,
        close: bool = False,
    ) -> None:
        """Answers without an upstream."""
        self._detach()
        self.flags |= flags
        self.details = details
        if close:
            self.downstream.end_after_this()
        status, own, body = reply_headers(status, body, is_grpc(self.noted.get(b"content-type")), grpc_status)
        own += headers
        self._local(status, own, body)

    def _local(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.responding = True
        if self.manager.inbound and b"x-envoy-peer-metadata-id" in self.special:
            headers += self.manager.peer_headers
        headers.append((b"date", self.manager.date()))
        self._server(headers, None)
        self.response_headers = headers
        if self.method == b"HEAD":
            body = b""
        self.bytes_sent += len(body)
        length = b"" if any(name == b"content-length" for name, _ in headers) else b"0"
        downstream = self.downstream
        self._finish()
        downstream.respond(status, headers, length, body, True)

    def on_client_gone(self) -> None:
        """The downstream connection ended."""
        if self._done:
            return
        self._leave_upstream()
        if self._tunneling:
            self._finish()
            return
        self.flags |= Flag.DC
        self.details = "downstream_remote_disconnect"
        if not self.responding:
            self.status = 0
        if self.cluster is not None:
            self.cluster.stats.upstream_rq_cancelled.value += 1
        self.manager.stats.downstream_rq_rx_reset.value += 1
        self._finish()

    def _leave_upstream(self) -> None:
        """Gives up the attempt in progress."""
        connection = self.connection
        if connection is not None:
            self.cluster.stats.upstream_rq_tx_reset.value += 1
        self._detach()
        if connection is not None:
            connection.abandon()

    def _detach(self) -> None:
        """Ends the attempt's accounting; the connection is no longer this stream's."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        host, self._host = self._host, None
        if host is not None:
            host.active -= 1
            if self._waiting:
                self._waiting = False
                host.pool.leave(self)
        if self._counted:
            self._counted = False
            self.budget.requests -= 1
            self.cluster.stats.upstream_rq_active.value -= 1
        self.connection = None

    def _finish(self, *, cut: bool = False) -> None:
        """Accounts the exchange, once."""
        if self._done:
            return
        self._done = True
        self._detach()
        self._end_retry(succeeded=False)
        if self._filter_done is not None:
            self._end_delay()
        manager = self.manager
        manager.active.remove(self)
        now = monotonic()
        stats = manager.stats
        stats.downstream_rq_active.value -= 1
        stats.downstream_rq_time.record((now - self.started) * 1000)
        if self.status:
            stats.complete(self.status)
        if self._tunneling:
            stats.downstream_cx_upgrades_active.value -= 1
        for account in manager.accounting:
            account(self, now)
        if cut:
            self.downstream.cut()


# Methods for which a request without a body still announces one.
_BODY_METHODS = frozenset((b"POST", b"PUT", b"PATCH"))
_DEFAULT_BUFFER = 1024 * 1024


def _drop_nominated(headers: Headers, connection: bytes) -> None:
    names = {name.strip() for name in connection.lower().split(b",")} - {b"close", b"keep-alive", b"upgrade", b""}
    if names:
        headers[:] = [header for header in headers if header[0] not in names]

