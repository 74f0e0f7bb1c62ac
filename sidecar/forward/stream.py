"""How a request begins: policy, route, filters, and what the route does with it."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from sidecar.config.model import HASHING, DirectResponse, Forward, Redirect
from sidecar.filters import Delay, Encode, Hold, Reply, Reset, Step, Wait
from sidecar.forward import extensions
from sidecar.forward.state import BAD_REQUEST
from sidecar.forward.tunnel import Tunnels
from sidecar.http.forwarded import WISHES
from sidecar.http.grpc import GrpcCall
from sidecar.http.head import HTTP2, RequestHead
from sidecar.http.headers import Headers, put
from sidecar.http.local_reply import is_grpc, reply_headers
from sidecar.http.response_flags import Flag
from sidecar.router.durations import final_timeout, rendered
from sidecar.router.retry import RetryPlan, number, with_client_wishes
from sidecar.router.rewrite import redirect_location, rewrite_host

if TYPE_CHECKING:
    from sidecar.http.stream_context import StreamContext
    from sidecar.http.streams import Downstream
    from sidecar.router.hash_policy import HashPolicies
    from sidecar.router.table import CompiledRoute, Destination


class Stream(Tunnels):
    """One request, from its head to its access-log line."""

    __slots__ = ()

    @classmethod
    def refused(cls, downstream: Downstream, manager: StreamContext, now: float, protocol: str) -> Stream:
        """A stream for what is not a request: it only carries the answer to the client and the log."""
        stream = cls(downstream, manager, RequestHead(b"", b"", [], {}, {}, protocol), 0, now)
        manager.stats.begin(stream.protocol)
        return stream

    def refuse(self, status: int, body: bytes, details: str, flags: int) -> None:
        self.reply(status, body, details, flags)

    def start(self) -> None:
        manager = self.manager
        stats = manager.stats
        stats.begin(self.protocol)
        if self.protocol == HTTP2 and is_grpc(self.indexed_headers.get(b"content-type")):
            self.grpc = GrpcCall()
        refusal = manager.heads.admit(self)
        if refusal is not None:
            self._answer(refusal)
            return
        route = manager.routes.find(self)
        if route is not None:
            self._take(route)
        if manager.tracer is not None:
            manager.tracer.begin(self)
        manager.active.add(self)
        if not self.request_complete:
            if manager.config.request_timeout:
                self._deadline_at = self.started + manager.config.request_timeout
            self._set_deadline()
        if route is None:
            self._set_deadline()
            self._run(manager.filters.unrouted.request, 0)
            return
        hop_headers = self.hop_headers
        if hop_headers and b"upgrade" in hop_headers and not self._may_upgrade(hop_headers[b"upgrade"], route.action):
            stats.downstream_rq_ws_on_non_ws_route.value += 1
            self.reply(403, b"", "upgrade_failed", 0, close=True)
        elif route.filters:
            self._set_deadline()  # a filter may wait; without one, what the route does sets it
            self._run(route.filters, 0)
        else:
            self._act(route)

    def restart(self, body: list[bytes]) -> None:
        """What `start` does, for a request that follows another one of the same client, whose answer was a redirect: its
        head was dealt with already, and the body is there."""
        manager, stats = self.manager, self.manager.stats
        stats.begin(self.protocol)
        if self.length:
            self._body = body
            self._body_size = sum(map(len, body))
            self.bytes_received += self._body_size
        if manager.tracer is not None:
            manager.tracer.begin(self)
        manager.active.add(self)
        self._set_deadline()
        self._run(self.route.filters, 0)

    def _take(self, route: CompiledRoute) -> None:
        """The request is on this route, and with it goes to a cluster."""
        self.route = route
        self.virtual_host = route.virtual_host
        if route.forward is not None:
            self._destination = destination = route.draw(self)
            self.cluster_name = destination.cluster
            cluster = self.manager.clusters.get(destination.cluster)
            if cluster is not None:
                self.cluster = cluster
            if route.idle_timeout >= 0.0:
                self._idle_timeout = route.idle_timeout

    def _may_upgrade(self, upgrade: bytes, action: Any) -> bool:
        """Notes an upgrade that is enabled; False for one that is not (h2c is ignored, as in Envoy)."""
        if b"upgrade" not in self.hop_headers.get(b"connection", b"").lower():
            return True
        protocol = upgrade.lower().decode("latin-1")
        enabled = protocol in self.manager.config.upgrades
        if isinstance(action, Forward):
            enabled = action.upgrades.get(protocol, enabled)
        if enabled:
            self._upgrade = upgrade
        return enabled or protocol == "h2c"

    def _run(self, steps: tuple[Step, ...], at: int) -> None:
        """The filters' steps from `at` on; a step that waits is the only one that costs a timer or a task."""
        for index in range(at, len(steps)):
            decision = steps[index](self)
            if decision is None:
                continue
            if isinstance(decision, Hold):
                self._held = decision, steps, index + 1
                self.downstream.resume_reading()  # a filter before this one may have had it paused
                self._hold(decision, self.request_complete)
            elif isinstance(decision, Reply):
                self._answer(decision)
            elif isinstance(decision, Delay):
                self._filter_done = decision.done
                self._timer = self.manager.loop.call_later(decision.seconds, self._delayed, steps, index + 1)
            elif isinstance(decision, Reset):
                self.details = decision.detail
                self.flags |= decision.flags
                self._finish(cut=True)
            elif isinstance(decision, Encode):
                refusal = self._extended().encode(decision)
                if refusal is None:
                    continue
                self._answer(refusal)
            else:
                self.manager.tasks.start(self._wait(decision, steps, index + 1), "filter")
            return
        self._act(self.route)

    def _hold(self, hold: Hold, end: bool) -> None:
        if self._done or self._held is None:
            return
        _, steps, at = self._held
        if self._body_size > hold.limit:
            self._held = None
            self.manager.stats.downstream_rq_too_large.value += 1
            self._answer(hold.too_large)
        elif end:
            self._held = None
            self.length = self._body_size  # whatever its coding was
            self._touched = monotonic()
            self._run(steps, at)

    def _delayed(self, steps: tuple[Step, ...], at: int) -> None:
        self._timer = None
        self._end_delay()
        self._run(steps, at)

    async def _wait(self, decision: Wait, steps: tuple[Step, ...], at: int) -> None:
        answer = await decision.work()
        if self._done:
            return
        if isinstance(answer, Reply):
            self._answer(answer)
        else:
            self._run(steps, at)

    def _act(self, route: CompiledRoute | None) -> None:
        self.manager.stats.rq_total.value += 1
        if route is None:
            self.manager.stats.no_route.value += 1
            self.reply(404, b"", "route_not_found", Flag.NR, close=self.method == b"CONNECT")
            return
        if route.forward is not None:
            self._forward(route, route.forward)
            return
        action = route.action
        if isinstance(action, Redirect):
            self.manager.stats.rq_direct_response.value += 1
            location = redirect_location(action, route.path_rewrite, self)
            self._direct(action.code, [(b"location", location)], b"", route)
        elif isinstance(action, DirectResponse):
            self.manager.stats.rq_direct_response.value += 1
            self._direct(action.status, [], action.body, route)

    def _direct(self, status: int, headers: Headers, body: bytes, route: CompiledRoute) -> None:
        self.details = "direct_response"
        if status == BAD_REQUEST and not self.manager.config.keeps_after_bad_request:
            self.downstream.end_after_this()
        if (mapper := self.manager.reply_mapper) is not None:
            for mutate in route.response_ops:
                mutate(self, headers)
            self._map_reply(mapper, status, headers, body)
            return
        status, own, body = reply_headers(status, body, is_grpc(self.indexed_headers.get(b"content-type")))
        headers += own
        self.response_headers = headers
        for mutate in route.response_ops:
            mutate(self, headers)
        self._local(status, headers, body)

    # ── to a cluster ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _forward(self, route: CompiledRoute, action: Forward) -> None:
        manager, destination = self.manager, self._destination
        assert destination is not None  # noqa: S101  # drawn when the route was found
        cluster = self.cluster
        self._forwarding = True
        if cluster is None:
            manager.stats.no_cluster.value += 1
            self.reply(action.cluster_not_found_code, b"", "cluster_not_found", Flag.NC, close=bool(self._upgrade))
            return
        self.budget = cluster.high_budget if route.high_priority else cluster.budget
        self._timeout = route.timeout
        if self.grpc is not None and action.max_grpc_timeout is not None:
            self._timeout = final_timeout(self.header(b"grpc-timeout"), action)
            if self._timeout:
                put(self.headers, b"grpc-timeout", rendered(self._timeout))
        plan = route.retry
        extended = route.extras is not None or cluster.max_stream_duration > 0.0
        if not WISHES.isdisjoint(self.indexed_headers):
            plan = self._client_wishes(plan)
            extended = extended or not extensions.WISHES.isdisjoint(self.indexed_headers)
        if plan is not None:
            self._plan = plan = plan.of(self)
            self._retries_left = plan.policy.attempts
        self._rewrite(route, destination)
        if route.hash_policies is not None and cluster.config.balancing.policy in HASHING:
            self._choose_key(route.hash_policies, destination)
        self._body_limit = manager.buffer_limit if route.body_limit < 0 else route.body_limit
        if self._body_size > self._body_limit:  # it came while a filter held the request up
            self._give_up_retries()
        if extended:
            self._extended().forward()
        if self.request_complete:
            self._request_ended()
        self._attempt()

    def _extended(self) -> extensions.Extensions:
        """The extensions, from now on there."""
        if self.extensions is None:
            self.extensions = extensions.Extensions(self)
        return self.extensions

    def _choose_key(self, policies: HashPolicies, destination: Destination) -> None:
        """What the host is picked by."""
        key = policies.key(self)
        self.hash_key = key.value
        if key.cookies:
            self._destination = destination.setting_cookies(key.cookies)

    def _client_wishes(self, plan: RetryPlan | None) -> RetryPlan | None:
        """x-envoy-* request headers change time-out and retries."""
        timeout = number(self.indexed_headers.get(b"x-envoy-upstream-rq-timeout-ms"))
        if timeout is not None:
            self._timeout = timeout / 1000
        policy = with_client_wishes(plan.policy if plan is not None else None, self.indexed_headers)
        return RetryPlan(policy, self._timeout) if policy is not None else None

    def _rewrite(self, route: CompiledRoute, destination: Destination) -> None:
        """What the route makes of path, host and headers."""
        headers = self.headers
        if route.path_rewrite is not None:
            self.original_path = self.path
            self.path = route.path_rewrite(self.path)
            put(headers, b"x-envoy-original-path", self.original_path)
        host = destination.host_rewrite or route.host_rewrite
        if host:
            rewrite_host(self, host, append_forwarded=route.appends_forwarded_host)
        for mutate in destination.request_ops:
            mutate(self, headers)
        manager = self.manager
        if manager.outbound and not (manager.keeps_to_mesh and self.cluster.external):
            headers += manager.peer_headers
