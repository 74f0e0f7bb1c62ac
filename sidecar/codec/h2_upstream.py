"""A stream of an upstream HTTP/2 connection: one attempt's way to the host, and the answer's way back.

It gets its number when the request is sent, for numbers have to rise in the order of the heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.codec import h2_heads
from sidecar.codec.h2_frames import CANCEL, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM
from sidecar.codec.h2_stream import H2Stream
from sidecar.http.head import RequestHead, ResponseHead
from sidecar.http.headers import Headers
from sidecar.http.streams import NO_TRAILERS, UNKNOWN_LENGTH, ResetReason, ResponseHandler, Trailers

if TYPE_CHECKING:
    from sidecar.codec.h2_client import ClientConnection

_METHODS: Final = {method: (b":method", method) for method in b"GET POST PUT DELETE HEAD OPTIONS PATCH".split()}
_SCHEMES: Final = {scheme: (b":scheme", scheme) for scheme in (b"http", b"https")}
_UNNUMBERED: Final = 0


class ClientStream(H2Stream):
    """An attempt's `Upstream`."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__(connection, _UNNUMBERED)
        self.connection = connection
        self.local = connection.local
        self.stale = connection.requests > 0
        self.handler: ResponseHandler | None = None
        self.answered = False  # the final head has come
        self._method = b""
        self._upgrade = b""

    # ── the handler's side ────────────────────────────────────────────────────────────────────────────────────────────

    def send(
        self,
        handler: ResponseHandler,
        head: RequestHead,
        length: int,
        body: bytes,
        end: bool,
        trailers: Trailers = NO_TRAILERS,
    ) -> None:
        self.handler = handler
        self._method = head.method
        self._upgrade = head.upgrade
        self.connection.number(self)
        if ord("@") in head.authority:  # an HTTP/2 server may end the connection that others share (RFC 9113 §8.3.1)
            self.end_by_peer()
            self.on_reset(PROTOCOL_ERROR, h2_heads.INVALID_FIELD)
            return
        if head.upgrade:  # the stream stays open for what is spoken on it
            self.send_head(_fields(head, UNKNOWN_LENGTH), False)
            if body:
                self.write(body, False)
            return
        bare = end and not body and not trailers
        self.send_head(_fields(head, length), bare)
        if not bare and (body or end):
            self.write(body, end, trailers)

    def write(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        if not trailers:
            self.send_data(data, end)
            return
        if data:
            self.send_data(data, False)
        self.send_trailers(list(trailers))

    def tunnel(self, handler: ResponseHandler) -> None:
        self.handler = handler

    def reset(self, reason: ResetReason = ResetReason.LOCAL_RESET) -> None:
        self.handler = None
        if self.number == _UNNUMBERED:
            self.connection.unused()
        else:
            self.abort(CANCEL)

    # ── the session's side ────────────────────────────────────────────────────────────────────────────────────────────

    def on_answer(self, head: ResponseHead, end: bool) -> None:
        """A head that is not malformed."""
        handler = self.handler
        if handler is None:
            return
        self.stale = False
        if head.status < 200:
            handler.on_interim(head)
            return
        self.answered = True
        if self._upgrade and head.status == 200:
            head.status = 101
            head.hop_headers[b"connection"] = b"upgrade"
            head.hop_headers[b"upgrade"] = self._upgrade
            handler.on_switching(head)
            if end and self.handler is not None:
                self._complete()
                handler.on_response_body(b"", True)
            return
        length = 0 if end else h2_heads.length_of(head.hop_headers)
        self.body_left = 0 if self.bodiless(head.status) else length
        if end:
            self._complete()
        handler.on_response(head, length, b"", end)

    def bodiless(self, status: int) -> bool:
        """Whether such an answer has no body, whatever its content-length."""
        return self._method == b"HEAD" or status in (204, 304)

    def may_end_with(self, head: ResponseHead) -> bool:
        """Whether the stream may be over with this head."""
        if head.status < 200:
            return False
        return self.bodiless(head.status) or h2_heads.length_of(head.hop_headers) <= 0

    def _complete(self) -> None:
        """The answer is there: what the host has not taken of the request by then it need not have."""
        self.handler = None
        self.enough = True
        self.remote_end()
        if not self.closed:
            self.abort(NO_ERROR)

    def on_body(self, data: bytes, end: bool) -> None:
        handler = self.handler
        if handler is None:
            return
        if end:
            self._complete()
        if data or end:
            handler.on_response_body(data, end)

    def on_trailers(self, trailers: Headers) -> None:
        handler = self.handler
        if handler is None:
            return
        self._complete()
        handler.on_response_body(b"", True, trailers)

    def on_reset(self, code: int, detail: str) -> None:
        if detail:
            self._over(ResetReason.PROTOCOL_ERROR)
        else:
            self._over(ResetReason.REMOTE_REFUSED if code == REFUSED_STREAM else ResetReason.REMOTE_RESET)

    def on_lost(self, detail: str) -> None:
        self._over(ResetReason.PROTOCOL_ERROR if detail else ResetReason.CONNECTION_TERMINATION)

    def _over(self, reason: ResetReason) -> None:
        handler, self.handler = self.handler, None
        if handler is None:
            return
        handler.on_upstream_reset(reason, self)

    def on_blocked(self) -> None:
        if self.handler is not None:
            self.handler.on_upstream_blocked()

    def on_ready(self) -> None:
        if self.handler is not None:
            self.handler.on_upstream_ready()


def _fields(head: RequestHead, length: int) -> Headers:
    method = head.method
    scheme = _SCHEMES[head.scheme]
    if head.upgrade:  # RFC 8441 §5
        fields = [(b":method", b"CONNECT"), scheme, (b":authority", head.authority), (b":path", head.target)]
        fields.append((b":protocol", head.upgrade))
    elif method == b"CONNECT":
        fields = [(b":method", method), (b":authority", head.authority)]
    else:
        fields = [
            _METHODS.get(method) or (b":method", method),
            scheme,
            (b":authority", head.authority),
            (b":path", head.target),
        ]
    fields += head.headers
    if length > 0 or (length == 0 and b"content-length" in head.hop_headers):
        fields.append((b"content-length", b"%d" % length))
    return fields
