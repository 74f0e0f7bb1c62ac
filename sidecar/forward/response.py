"""Back to the client: the response's head, its body, and flow control in both directions."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Final

from sidecar.forward.attempts import Attempts
from sidecar.http.grpc import GrpcCall, outcome
from sidecar.http.head import ResponseHead
from sidecar.http.headers import Headers, decimal, drop, drop_nominated, get
from sidecar.http.streams import NO_TRAILERS, Trailers
from sidecar.process.timers import NEVER
from sidecar.router.retry_backoff import retry_after

if TYPE_CHECKING:
    from sidecar.forward.attempt import Attempt

# What nearly every Connection field says: no field of the response is for this hop only.
_NOMINATES_NOTHING: Final = frozenset((b"close", b"keep-alive", b"Keep-Alive", b"Close"))


class Responses(Attempts):
    """The phase from a response's head to its end; one that is cut off is `upstream_resets'`."""

    __slots__ = ()

    def on_response(
        self, attempt: Attempt, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers
    ) -> None:
        """The response's head, and what came with it of its body; `end` when that is all."""
        extensions = self.extensions
        if extensions is not None and extensions.on_response(attempt, head, length, body, end, trailers):
            return
        status, now, host, cluster = head.status, monotonic(), attempt.host, self.cluster
        if self.grpc is None:
            _judge(attempt, status, now)
        elif end:
            _judge(attempt, outcome(status, trailers or head.headers), now)
        if cluster.checker is not None and get(head.headers, b"x-envoy-immediate-health-check-fail") is not None:
            cluster.checker.fail_now(host)
        plan = self._plan
        good = plan is None or not plan.wants_response(head)
        if not good and self._claim_retry(status):
            self._end_attempt(end)
            self._schedule_retry(self._retry_after(head))
            return
        if end:
            self._detach()
        else:
            if attempt.timer is not None:
                attempt.stop_timer()
            if plan is not None and plan.policy.per_try_idle_timeout:
                self._touched = now
                self._watch_attempt(plan, NEVER, now)
        if self._retrying:
            self._end_retry(succeeded=good)
        cluster.stats.complete(status, (now - self.upstream_started) * 1000)
        self._forget_body()
        self.details = "via_upstream"
        self._touched = now
        if self._upgrade:
            self._refused_upgrade(head, length, body, end, now, trailers)
        else:
            self._deliver(head, length, body, end, now, trailers)

    def _end_attempt(self, over: bool) -> None:
        """The attempt's response, which may not be `over`, is not the one that counts."""
        if over:
            self._detach()
        else:
            self._leave_upstream()

    def _retry_after(self, head: ResponseHead) -> float:
        plan = self._plan
        if plan is None or not plan.policy.reset_headers:
            return 0.0
        return retry_after(plan.policy, head, time(), self.manager.rng)

    def on_interim(self, head: ResponseHead) -> None:
        """A response that only precedes the real one: passed on where that is asked for (we answer 100 ourselves)."""
        if self.manager.config.proxies_continue:
            self.downstream.interim(head)

    def _refused_upgrade(
        self, head: ResponseHead, length: int, body: bytes, end: bool, now: float, trailers: Trailers
    ) -> None:
        """The upstream answers an upgrade as if it were none: a success is not passed on, and the connection ends."""
        self.downstream.end_after_this()
        if 200 <= head.status < 300:
            if not end:
                self._leave_upstream()
            self.reply(head.status, b"", "websocket_handshake_unsuccessful", 0)
            return
        self._deliver(head, length, body, end, now, trailers)

    def _deliver(self, head: ResponseHead, length: int, body: bytes, end: bool, now: float, trailers: Trailers) -> None:
        """Finishes the response's headers and sends it on."""
        if self.grpc is not None:
            self.grpc.responses.feed(body)
        if self.extensions is not None and self.extensions.bodies is not None:
            self.extensions.bodies.deliver(head, length, body, end, now, trailers)
            return
        self._finish_head(head, now)
        self.bytes_sent += len(body)
        if end:  # accounted before its last bytes leave: whoever has the answer finds it in the metrics
            self.response_trailers = trailers
            self._finish()
        self.downstream.respond(head, length, body, end, trailers)

    def _finish_head(self, head: ResponseHead, now: float) -> Headers:
        """The response's headers as the client gets them, but for the framing."""
        manager, hop_headers, headers = self.manager, head.hop_headers, head.headers
        self.status = status = head.status
        self.responding = True
        self.response_headers = headers
        if status == 204:
            drop(headers, b"content-length")
        if b"connection" in hop_headers and hop_headers[b"connection"] not in _NOMINATES_NOTHING:
            drop_nominated(headers, hop_headers[b"connection"])
        if self.request_complete and not self._upgrade and not manager.quiet:
            headers.append((b"x-envoy-upstream-service-time", decimal(int((now - self.upstream_started) * 1000))))
        if self.route.tells_client_attempts:
            headers.append((b"x-envoy-attempt-count", b"%d" % self.attempts))
        destination = self._destination
        if destination is not None and destination.response_ops:
            for mutate in destination.response_ops:
                mutate(self, headers)
        if self.route.response_filters:
            self._filter_response(headers)
        if manager.outbound:
            peer = hop_headers.get(b"x-envoy-peer-metadata")
            if peer is not None:
                self.peer = manager.decode_peer(peer)
        elif manager.inbound and b"x-envoy-peer-metadata-id" in self.hop_headers:
            headers += manager.peer_headers
        headers.append((b"date", hop_headers.get(b"date") or manager.date()))
        self._server(headers, hop_headers.get(b"server"))
        return headers

    def on_response_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        """A further piece of the response's body; on a tunnel, whatever the upstream sent."""
        if self.grpc is not None:
            self._note_call(self.grpc, data, end, trailers)
        bodies = self.extensions.bodies if self.extensions is not None else None
        if bodies is not None and bodies.on_response_body(data, end, trailers):
            return
        self.bytes_sent += len(data)
        self._touched = monotonic()
        if self._tunneling:
            self._on_tunnel_data(data, end, trailers)
            return
        if end:
            self.response_trailers = trailers
            self._detach()
            self._finish()
        self.downstream.send_body(data, end, trailers)

    def _on_tunnel_data(self, data: bytes, end: bool, trailers: Trailers) -> None:
        """What the tunnel's far end says."""
        raise NotImplementedError  # the phase of the tunnels knows what it means

    def _note_call(self, call: GrpcCall, data: bytes, end: bool, trailers: Trailers) -> None:
        """What a piece of an answer says of a gRPC call, before filters make something else of it."""
        call.responses.feed(data)
        if end and self.attempt is not None:
            _judge(self.attempt, outcome(self.status, trailers), monotonic())

    # ── flow control: each side's blocked writes pause the other side's reads ─────────────────────────────────────────

    def on_client_blocked(self) -> None:
        if self.extensions is not None and self.extensions.bodies is not None:
            self.extensions.bodies.on_client_blocked()
        else:
            self._pause_upstream()

    def on_client_ready(self) -> None:
        if self.extensions is not None and self.extensions.bodies is not None:
            self.extensions.bodies.on_client_ready()
        else:
            self._resume_upstream()

    def _pause_upstream(self) -> None:
        if self.attempt is not None and self.attempt.upstream is not None:
            self.cluster.stats.upstream_flow_control_paused_reading_total.value += 1
            self.attempt.upstream.pause_reading()

    def _resume_upstream(self) -> None:
        if self.attempt is not None and self.attempt.upstream is not None:
            self.cluster.stats.upstream_flow_control_resumed_reading_total.value += 1
            self.attempt.upstream.resume_reading()

    def on_upstream_blocked(self) -> None:
        self.manager.stats.downstream_flow_control_paused_reading_total.value += 1
        self.cluster.stats.upstream_flow_control_backed_up_total.value += 1
        self.downstream.pause_reading()

    def on_upstream_ready(self) -> None:
        self.manager.stats.downstream_flow_control_resumed_reading_total.value += 1
        self.cluster.stats.upstream_flow_control_drained_total.value += 1
        self.downstream.resume_reading()
        if self.extensions is not None and self.extensions.mirrors is not None:
            self.extensions.mirrors.pace()


def _judge(attempt: Attempt, status: int, now: float) -> None:
    """What an answer with this status says of its host. That of a gRPC call comes at its end."""
    host, detector = attempt.host, attempt.cluster.outlier
    if status < 500:
        host.rq_success += 1
    else:
        host.rq_error += 1
    if detector is not None:
        detector.on_status(host, status, now)
    if attempt.permit is not None:
        attempt.give_back(status)
