"""A stream of a downstream HTTP/2 connection: one request's way in, and its answer's way back."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.codec.h2_frames import INTERNAL_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from sidecar.codec.h2_stream import H2Stream
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Headers
from sidecar.http.streams import NO_TRAILERS, RequestHandler, ResetReason, Trailers

if TYPE_CHECKING:
    from sidecar.codec.h2_server import ServerConnection

# A stream that is reset within so many seconds of its beginning was hardly meant.
_PREMATURE: Final = 1.0

_REMOTE_RESET: Final = "http2.remote_reset"
_CODES: Final = {
    ResetReason.REMOTE_REFUSED: REFUSED_STREAM,
    ResetReason.PROTOCOL_ERROR: PROTOCOL_ERROR,
}
_STATUS: Final = {status: (b":status", b"%d" % status) for status in range(100, 600)}


class ServerStream(H2Stream):
    """A request's `Downstream`."""

    def __init__(self, connection: ServerConnection, number: int) -> None:
        super().__init__(connection, number)
        self.connection = connection
        self.remote = connection.remote
        self.local = connection.local
        self.own = connection.own
        self.kept = connection.kept
        self.handler: RequestHandler | None = None
        self.began = monotonic()
        self.no_request = False  # its head is malformed
        self.flush_left = 0  # so much of the answer had not been taken
        self.flush_since = 0.0  # at this time

    # ── the handler's side ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def answer_is_last(self) -> bool:
        """An answer ends no connection here."""
        return False

    def respond(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        self.connection.on_answer()
        if end and not body and not trailers:
            self._answered()
            self._send_head(head, True)
            return
        self._send_head(head, False)
        if body or end:
            self.send_body(body, end, trailers)

    def _send_head(self, head: ResponseHead, end: bool) -> None:
        fields: Headers = [_STATUS.get(head.status) or (b":status", b"%d" % head.status)]
        fields += head.headers
        self.send_head(fields, end)

    def interim(self, head: ResponseHead) -> None:
        self._send_head(head, False)

    def switch(self, head: ResponseHead, *, may_be_http2: bool = False) -> None:
        """An upgrade is a CONNECT with a protocol here, and its answer a 200 (RFC 8441 §5)."""
        head.status = 200
        self._send_head(head, False)

    def send_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        if end:
            self._answered()
        if not trailers:
            self.send_data(data, end)
        else:
            if data:
                self.send_data(data, False)
            self.send_trailers(list(trailers))
        if end and self.waiting:
            self.connection.on_flushing(self)

    def _answered(self) -> None:
        """The answer is complete with what is sent next: nobody wants what still comes of the request."""
        self.handler = None
        self.enough = True
        if not self.remote_done:
            self.connection.stats.downstream_rq_response_before_rq_complete.value += 1

    def reset(self, reason: ResetReason) -> None:
        self.handler = None
        self.abort(_CODES.get(reason, INTERNAL_ERROR))

    def end_after_this(self) -> None:
        """Connections do not end with answers here."""

    def replace(self, handler: RequestHandler) -> None:
        self.handler = handler

    # ── the session's side ────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, head: RequestHead, length: int) -> None:
        """The request's head is there."""
        manager = self.connection.manager
        self.handler = handler = manager.begin(self, head, length, self.began)
        expect = head.hop_headers.get(b"expect")
        if expect is not None and length and manager.answers_continue(expect, False):
            self.send_head([_STATUS[100]], False)
        handler.start()

    def on_body(self, data: bytes, end: bool) -> None:
        if self.handler is not None:
            self.handler.on_request_body(data, end)

    def on_trailers(self, trailers: Headers) -> None:
        if self.handler is not None:
            self.handler.on_request_body(b"", True, trailers)

    def on_reset(self, code: int, detail: str) -> None:
        handler, self.handler = self.handler, None
        if handler is not None:
            if detail:
                handler.on_violation(detail if self.no_request else _REMOTE_RESET)
            else:
                handler.on_client_reset(_REMOTE_RESET)
        if not detail and monotonic() - self.began < _PREMATURE:
            self.connection.on_premature_reset()

    def on_lost(self, detail: str) -> None:
        handler, self.handler = self.handler, None
        if handler is None:
            return
        if self.violated:
            handler.on_violation(detail)
        else:
            handler.on_client_gone(detail)

    def on_blocked(self) -> None:
        if self.handler is not None:
            self.handler.on_client_blocked()

    def on_ready(self) -> None:
        if self.handler is not None:
            self.handler.on_client_ready()
