"""What a request in progress holds, how it is answered without an upstream, and how it ends."""

# Route and cluster, None until they are found, are known in these phases.
# mypy: disable-error-code="union-attr"
from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.filters import Hold, Reply, Step
from sidecar.filters.bodies import ended
from sidecar.http.exchange import UNCOUNTED, Exchange
from sidecar.http.forwarded import FORCE_TRACE
from sidecar.http.head import ResponseHead
from sidecar.http.headers import Header, Headers, get, put
from sidecar.http.local_reply import is_grpc, reply_headers
from sidecar.http.response_flags import Flag
from sidecar.http.streams import NO_TRAILERS, ResetReason
from sidecar.process.timers import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sidecar.config.model import Address, MetadataMatch
    from sidecar.forward.attempt import Attempt
    from sidecar.forward.extensions import Extensions
    from sidecar.http.head import RequestHead
    from sidecar.http.reply_mapper import ReplyMapper
    from sidecar.http.stream_context import StreamContext
    from sidecar.http.streams import Downstream
    from sidecar.router.retry import RetryPlan
    from sidecar.router.table import Destination
    from sidecar.upstream.host import Host
    from sidecar.upstream.limits import Budget

# What says that a reply of our own is about an attempt, and not about the request or its client.
_AFTER_AN_ATTEMPT: Final = int(Flag.UH | Flag.UO | Flag.UF | Flag.UC | Flag.UPE | Flag.UT)
BAD_REQUEST: Final = 400  # who is told so by us is not heard again on this connection


class StreamState(Exchange):
    """The state of one request, and its end."""

    __slots__ = (
        "_body",
        "_body_limit",
        "_body_size",
        "_deadline_at",
        "_destination",
        "_done",
        "_filter_done",
        "_forwarding",
        "_held",
        "_idle_timeout",
        "_keep_body",
        "_plan",
        "_retries",
        "_retries_left",
        "_retrying",
        "_timeout",
        "_timer",
        "_touched",
        "_tried",
        "_tunneling",
        "_upgrade",
        "attempt",
        "budget",
        "deadline",
        "extensions",
        "head",
        "length",
        "manager",
        "request_complete",
        "request_trailers",
        "responding",
    )

    downstream: Downstream
    manager: StreamContext

    def __init__(
        self, downstream: Downstream, manager: StreamContext, head: RequestHead, length: int, now: float
    ) -> None:
        super().__init__(downstream, head.method, head.target, head.headers, now)
        self.protocol = head.protocol
        self.hop_headers = head.hop_headers
        self.indexed_headers = head.indexed_headers
        self.downstream = downstream
        self.manager = manager
        self.head = head  # what is sent upstream is put into it
        self.length = length
        self.request_complete = length == 0
        self.request_trailers = NO_TRAILERS
        self.responding = False  # the response's head has been sent
        self.attempt: Attempt | None = None  # the one in progress
        self.extensions: Extensions | None = None  # what few requests ask for
        self.budget: Budget = None  # type: ignore[assignment]  # of the cluster, set with it
        self.deadline = NEVER
        self._touched = now
        self._deadline_at = NEVER  # of the whole request
        self._timeout = 0.0
        self._body: list[bytes] = []  # what came of the body, while it may have to be sent (again)
        self._body_size = 0
        self._body_limit = manager.buffer_limit
        self._idle_timeout = manager.config.stream_idle_timeout
        self._keep_body = True
        self._plan: RetryPlan | None = None
        self._retries_left = 0
        self._retries = 0
        self._retrying = False  # a retry was decided and counts against the budget
        self._tried: list[Host] = []  # by attempts before this one, as far as its retries have to know
        self._destination: Destination | None = None
        self._timer: asyncio.Handle | None = None  # of a filter's delay, or a retry's back-off
        self._filter_done: Callable[[], None] | None = None
        self._held: tuple[Hold, tuple[Step, ...], int] | None = None  # where the filters go on with the whole body
        self._forwarding = False  # the router has taken over from the filters
        self._upgrade = b""
        self._tunneling = False  # bytes pass as they are
        self._done = False

    @property
    def client(self) -> Address:
        forwarded_for = self.indexed_headers.get(b"x-forwarded-for")
        remote = self.downstream.remote
        return remote if forwarded_for is None else self.manager.heads.forwarded.client(forwarded_for, remote)

    @property
    def timeout(self) -> float:
        """Of the whole request, 0.0 when there is none."""
        return self._timeout

    @property
    def body_limit(self) -> int:
        """How many bytes of the body are kept."""
        return self._body_limit

    @property
    def metadata_match(self) -> MetadataMatch | None:
        return self._destination.metadata_match if self._destination is not None else None

    def on_deadline(self, now: float) -> None:
        """`Deadlines` calls it when `deadline` is past."""
        raise NotImplementedError  # the attempts' phase knows what it means

    # ── answers of our own ────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, reply: Reply) -> None:
        close = any(name == b"connection" for name, _ in reply.headers)
        headers = tuple(header for header in reply.headers if header[0] != b"connection")
        self.reply(
            reply.status,
            reply.body,
            reply.detail,
            reply.flags,
            headers=headers,
            grpc_status=reply.grpc_status,
            close=close,
        )

    def reply(
        self,
        status: int,
        body: bytes,
        details: str,
        flags: int,
        *,
        headers: Iterable[Header] = (),
        grpc_status: int | None = None,
        close: bool = False,
    ) -> None:
        """Answers without an upstream."""
        self._detach()
        self.flags |= flags
        self.details = details
        if self.manager.replies is not None:
            headers = self.manager.replies.noted(self, self.manager, status, headers)
        if close or (status == BAD_REQUEST and not self.manager.config.keeps_after_bad_request):
            self.downstream.end_after_this()
        if self.manager.reply_mapper is not None:
            self.flags &= ~(flags & Flag.DPE)  # in Envoy the codec says so after its reply
            self._map_reply(self.manager.reply_mapper, status, list(headers), body, grpc_status, flags)
            return
        status, own, body = reply_headers(status, body, is_grpc(self.indexed_headers.get(b"content-type")), grpc_status)
        own += headers
        self._local(status, own, body)

    def _map_reply(
        self,
        mapper: ReplyMapper,
        status: int,
        headers: Headers,
        body: bytes,
        grpc_status: int | None = None,
        flags: int = 0,
    ) -> None:
        """Lets `local_reply_config` have a word."""
        self._change_reply(headers)
        grpc = is_grpc(self.indexed_headers.get(b"content-type"))
        rewritten = mapper.rewrite(self, status, headers, body, grpc, grpc_status)
        self.flags |= flags
        self._send_local(*rewritten)

    def _local(self, status: int, headers: Headers, body: bytes) -> None:
        self._change_reply(headers)
        self._send_local(status, headers, body)

    def _change_reply(self, headers: Headers) -> None:
        """What the route makes of the headers of our own replies."""
        if self._forwarding and self._destination is not None:
            for mutate in self._destination.reply_ops:
                mutate(self, headers)
            if self.attempts and self.route.tells_client_attempts and self.flags & _AFTER_AN_ATTEMPT:
                put(headers, b"x-envoy-attempt-count", b"%d" % self.attempts)

    def _send_local(self, status: int, headers: Headers, body: bytes) -> None:
        if self.extensions is not None and self.extensions.bodies is not None:
            self.extensions.bodies.send_local(status, headers, body)
            return
        self._finish_own_head(status, headers)
        self._respond(status, headers, body)

    def _finish_own_head(self, status: int, headers: Headers) -> None:
        """The headers of a reply of our own as the client gets them, but for the framing."""
        self.status = status
        self._filter_response(headers)
        self.finish_last_head(status, headers)

    def finish_last_head(self, status: int, headers: Headers) -> None:
        """The same without the filters."""
        self.status = status
        self.responding = True
        if self.manager.inbound and b"x-envoy-peer-metadata-id" in self.hop_headers:
            headers += self.manager.peer_headers
        headers.append((b"date", self.manager.date()))
        self._server(headers, None)
        self.response_headers = headers

    def _respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Sends a reply of our own."""
        if self.method == b"HEAD":
            body = b""
        elif body and get(headers, b"content-length") is None:
            headers.append((b"content-length", b"%d" % len(body)))
        self.bytes_sent += len(body)
        self._finish()
        self.downstream.respond(ResponseHead(status, headers), len(body), body, True)

    def _filter_response(self, headers: Headers) -> None:
        """The filters' turn, before what the connection manager itself adds."""
        route = self.route
        for step in self.manager.filters.unrouted.response if route is None else route.response_filters:
            step(self, headers)

    def _server(self, headers: Headers, upstream: bytes | None) -> None:
        """The last response headers: who answers, and what the configuration adds to every answer."""
        manager = self.manager
        if manager.tracer is not None:
            manager.tracer.answer(self, headers)
        if (
            manager.may_add_request_id
            and self.request_id
            and (manager.config.always_set_request_id_in_response or FORCE_TRACE in self.indexed_headers)
        ):
            put(headers, b"x-request-id", self.request_id)
        if manager.via:
            before = get(headers, b"via")
            put(headers, b"via", manager.via if before is None else before + b", " + manager.via)
        if upstream is not None and not manager.overwrites_server:
            headers.append((b"server", upstream))
        elif manager.adds_server:
            headers.append((b"server", manager.server_name))

    def _forget_body(self) -> None:
        """What was sent will not be sent again."""
        if self.extensions is not None and self.extensions.needs_body:
            return
        self._keep_body = False
        self._body = []

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_violation(self, detail: str) -> None:
        """What the client sent is no message."""
        self._end_unanswered(detail, Flag.DPE)

    def on_client_reset(self, detail: str) -> None:
        """The client wants no answer any more."""
        self._end_unanswered(detail, Flag.DR)

    def on_client_gone(self, detail: str = "downstream_remote_disconnect") -> None:
        """The downstream connection ended; by us, when `detail` says so."""
        self._end_unanswered(detail, Flag.DC)

    def _end_unanswered(self, detail: str, flag: int) -> None:
        if self._done:
            return
        self._leave_upstream()
        self.details = detail
        self.flags |= flag
        if not self.responding:
            self.status = 0
        self.manager.stats.downstream_rq_rx_reset.value += 1
        self._finish()

    def _leave_upstream(self) -> None:
        """Gives up the attempt in progress, and whatever is waited for."""
        self._stop_timer()
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.leave()

    def _detach(self) -> None:
        """The same where the attempt is over by itself."""
        if self._timer is not None:
            self._stop_timer()
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.end()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_back(self, outcome: int | str) -> None:
        """What the circuit breaker, if there is one, learns of the attempt in progress."""
        if self.attempt is not None and self.attempt.permit is not None:
            self.attempt.give_back(outcome)

    def _end_retry(self, *, succeeded: bool) -> None:
        if self._retrying:
            self._retrying = False
            self.budget.retries -= 1
            if succeeded:
                self.cluster.stats.upstream_rq_retry_success.value += 1

    def _end_delay(self) -> None:
        done, self._filter_done = self._filter_done, None
        if done is not None:
            done()

    def _finish(self, *, cut: bool = False) -> None:
        """Accounts the exchange, once."""
        if self._done:
            return
        self._done = True
        extensions, self.extensions = self.extensions, None
        if extensions is not None:
            extensions.on_finish()
        if self.attempt is not None or self._timer is not None:
            self._detach()
        if self._retrying:
            self._end_retry(succeeded=False)
        if self._filter_done is not None:
            self._end_delay()
        manager = self.manager
        manager.active.remove(self)
        now = monotonic()
        stats = manager.stats
        stats.downstream_rq_active.value -= 1
        stats.downstream_rq_time.record((now - self.started) * 1000)
        if self.status and (self.filter_state is None or UNCOUNTED not in self.filter_state):
            stats.complete(self.status)
        if self._tunneling:
            stats.downstream_cx_upgrades_active.value -= 1
        manager.on_complete(self, now)
        if cut:
            if not self._tunneling:
                stats.downstream_rq_tx_reset.value += 1
            self.downstream.reset(ResetReason.LOCAL_RESET)
        if extensions is not None and extensions.bodies is not None:
            ended(self)
