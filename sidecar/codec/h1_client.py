"""The HTTP/1.1 client side of the proxy: one connection to an upstream host, one request at a time.

The connection is the `Upstream` of each of its requests. It calls their handlers directly; there is no task, future or
event object per request or chunk.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.codec import fallback_parser
from sidecar.codec.framing import (
    CHUNKED,
    UNTIL_CLOSE,
    ChunkedDecoder,
    FramingError,
    check_bodiless,
    chunk,
    last_chunk,
    response_length,
)
from sidecar.codec.h1_parser import HeadError, ResponseParser, switches
from sidecar.codec.key_case import spell
from sidecar.codec.render import request_head
from sidecar.http.headers import drop
from sidecar.http.streams import NO_TRAILERS, ResetReason, Trailers
from sidecar.process.timers import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.http.connections import PoolCallbacks, Transport
    from sidecar.http.head import RequestHead, Spelling
    from sidecar.http.streams import ResponseHandler, Upstream
    from sidecar.process.timers import Deadlines
    from sidecar.telemetry.cells import Counter

# Envoy's defaults for a response's head.
MAX_HEAD: Final = 80 * 1024
MAX_HEADERS: Final = 100


_HEAD: Final = 0
_BODY: Final = 1
_CHUNKS: Final = 2
_UNTIL_CLOSE: Final = 3
_TUNNEL: Final = 4
_IDLE: Final = 5
_FRAMED: Final = (_BODY, _CHUNKS)

# Requests of all other methods announce a length even when there is no body.
_BODILESS_METHODS: Final = frozenset((b"GET", b"HEAD", b"DELETE", b"TRACE", b"CONNECT"))


class ClientConnection:
    """A `PooledConnection` of one slot, and the `Upstream` of the request that has it: an asyncio.Protocol, though not by
    inheritance (`process.native`)."""

    def __init__(
        self,
        pool: PoolCallbacks,
        *,
        max_requests: int,
        idle_timeout: float,
        deadlines: Deadlines,
        max_duration: float = 0.0,
        max_head: int = MAX_HEAD,
        max_headers: int = MAX_HEADERS,
        enable_trailers: bool = False,
    ) -> None:
        self.pool = pool
        self.transport: Transport = None  # type: ignore[assignment]  # until it is made
        self.handler: ResponseHandler | None = None  # of the request that it carries
        self.local = ""
        self.free_slots = 1
        self.lost = False
        self.ended_here = False  # we closed it, not the host
        self.opened = 0.0
        self.deadline = 0.0
        self.requests = 0
        self._max_requests = max_requests
        self._idle_timeout = idle_timeout
        self._max_duration = max_duration
        self._max_head = max_head
        self._max_headers = max_headers
        self._enable_trailers = enable_trailers
        self._deadlines = deadlines
        self._retired = False  # the request that it carries is its last one
        self._idle_since = 0.0
        self._state = _IDLE
        self._buffer = b""
        self._left = 0
        self._decoder: ChunkedDecoder | None = None
        self._keep_alive = True
        self._method = b""
        self._asks_upgrade = False
        self.dedicated = False  # to a tunnel, which begins at once
        self._chunked = False  # the request's body
        self._request_sent = True
        self.interim = False  # the host has sent a 1xx
        self._unfinished = False  # we closed it in the middle of a request
        self._received: Counter = pool.stats.upstream_cx_rx_bytes_total
        self._sent: Counter = pool.stats.upstream_cx_tx_bytes_total
        self._blocked = False  # the upstream does not take what we write
        self._spelling = self._speller()
        self._makes_head = self._head_maker()

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        local = transport.get_extra_info("sockname")
        self.local = f"{local[0]}:{local[1]}" if local else ""
        self.opened = self._idle_since = monotonic()
        if self._idle_timeout or self._max_duration:
            self._set_deadline(self._idle_since)
            self._deadlines.add(self)

    def data_received(self, data: bytes) -> None:
        self._received.value += len(data)
        state = self._state
        if state == _HEAD:
            self._on_head(data)
        elif state == _BODY:
            self._on_sized(data)
        elif state == _CHUNKS:
            self._on_chunks(data)
        elif state == _IDLE:
            if self.dedicated:
                self._buffer += data  # some servers speak first
            else:
                self._fail()  # bytes that nobody asked for
        elif self.handler is not None:
            self.handler.on_response_body(data, False)

    def eof_received(self) -> bool:
        """Nothing more will come: the connection is over even when the host has not taken all that we wrote."""
        self._abort()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self._deadlines.remove(self)
        handler, self.handler = self.handler, None
        state, self._state = self._state, _IDLE
        partial, self._buffer = self._buffer, b""
        broken = handler is not None and ((state == _HEAD and bool(partial)) or (state in _FRAMED and error is None))
        if broken:  # an orderly end in the middle of a head or body, to which our end is the answer
            self.ended_here = True
            self.pool.stats.upstream_cx_protocol_error.value += 1
        in_use = self._unfinished or (handler is not None and state != _UNTIL_CLOSE)
        self.pool.closed(self, in_use=in_use)
        if handler is None:
            return
        if state == _UNTIL_CLOSE:  # a reset ends such a body as well as a FIN, as in Envoy
            handler.on_response_body(b"", True)
        elif state == _TUNNEL:
            handler.on_upstream_closed(error is None)
        else:
            reason = ResetReason.PROTOCOL_ERROR if broken else ResetReason.CONNECTION_TERMINATION
            handler.on_upstream_reset(reason, self)

    def pause_writing(self) -> None:
        self._blocked = True
        if self.handler is not None:
            self.handler.on_upstream_blocked()

    def resume_writing(self) -> None:
        self._blocked = False
        if self.handler is not None:
            self.handler.on_upstream_ready()

    def on_deadline(self, now: float) -> None:
        """A time-out is looked at when it may have come, so that a request need not touch it."""
        stats = self.pool.stats
        if self._max_duration and not self._retired and now - self.opened >= self._max_duration:
            stats.upstream_cx_max_duration_reached.value += 1
            self.retire()
        elif self._idle_timeout and self.handler is None and now - self._idle_since >= self._idle_timeout:
            stats.upstream_cx_idle_timeout.value += 1
            self.close()
        self._set_deadline(now if self.handler is not None else self._idle_since)

    def _set_deadline(self, idle_since: float) -> None:
        idle = idle_since + self._idle_timeout if self._idle_timeout else NEVER
        old = self.opened + self._max_duration if self._max_duration and not self._retired else NEVER
        self.deadline = min(idle, old)

    def retire(self) -> None:
        """There shall be no further request on it: it ends now, or with the one that it carries."""
        if self.handler is None:
            self.close()
        else:
            self._retired = True
            self._max_requests = self.requests

    def take(self) -> Upstream:
        self.free_slots = 0
        return self

    # ── the attempt's side ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def stale(self) -> bool:
        """Whether it carried requests before, and nothing has come back for the last one."""
        return self.requests > 1 and not self.interim

    @property
    def blocked(self) -> bool:
        """Whether the host does not take what is written."""
        return self._blocked

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
        self.requests += 1
        self._state = _HEAD
        self._request_sent = end
        self._method = method = head.method
        self._asks_upgrade = bool(head.upgrade)
        self._chunked = length < 0 and not head.upgrade  # an upgrade's bytes pass as they are
        if length == 0 and method in _BODILESS_METHODS and b"content-length" not in head.hop_headers:
            framing = b""
        elif length < 0:
            framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        else:
            framing = b"content-length: %d\r\n" % length
        if head.upgrade:
            framing += b"connection: %b\r\nupgrade: %b\r\n" % (head.hop_headers[b"connection"], head.upgrade)
        data = request_head(head, framing)
        spelling = head.spelling or self._spelling
        if spelling is not None:
            data = spell(data, spelling)
        if body:
            data += chunk(body) if self._chunked else body
        if end and self._chunked:
            data += last_chunk(trailers if self._enable_trailers else NO_TRAILERS)
        self._sent.value += len(data)
        self.transport.write(data)

    def write(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        self._request_sent = end
        if self._chunked:
            if data:
                data = chunk(data)
            if end:
                data += last_chunk(trailers if self._enable_trailers else NO_TRAILERS)
        if data:
            self._sent.value += len(data)
            self.transport.write(data)

    def tunnel(self, handler: ResponseHandler) -> None:
        self.handler = handler
        self._state = _TUNNEL
        self._chunked = False
        if self._buffer:
            data, self._buffer = self._buffer, b""
            handler.on_response_body(data, False)

    def reset(self, reason: ResetReason = ResetReason.LOCAL_RESET) -> None:
        """The request no longer wants its response: the connection cannot be used again."""
        self._unfinished = self.handler is not None
        self.ended_here = True
        self.handler = None
        self._state = _IDLE
        self.transport.abort()

    def pause_reading(self) -> None:
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        self.transport.resume_reading()

    def close(self) -> None:
        """Nobody uses the connection, and nobody shall."""
        self.ended_here = True
        self._state = _IDLE
        self._abort()

    def _abort(self) -> None:
        """Ends the connection; `connection_lost` comes later, and until then nobody must be given it."""
        if self.handler is None:
            self.pool.withdraw(self)
        self.transport.abort()

    def _speller(self) -> Spelling | None:
        """How names are written that have no spelling of their own, where that is not in lower case."""
        return None

    def _head_maker(self) -> Callable[[], ResponseParser] | None:
        """What makes the parser of a response's head, where that is not the ordinary one."""
        return None

    # ── the response ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_head(self, data: bytes) -> None:
        handler = self.handler
        if handler is None:
            return
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n", 0, self._max_head) + 4
            if end == 3:
                end = fallback_parser.head_end(data)
                if end < 0 or end > self._max_head:
                    self._head_incomplete(data)
                    return
            head = ResponseParser() if self._makes_head is None else self._makes_head()
            try:
                try:
                    head.parse(data[:end])
                except HeadError:
                    # with bare line feeds a head may end before the first CRLF CRLF
                    end = fallback_parser.head_end(data)
                    fallback_parser.parse_response(data[:end], head)
                count = len(head.headers) + len(head.hop_headers)
                if count > self._max_headers and count - (b"content-length" in head.hop_headers) > self._max_headers:
                    # a content-length is in both
                    raise HeadError("http1.too_many_headers")
                if head.status >= 200:
                    break
                check_bodiless(head.hop_headers)
            except (HeadError, FramingError):
                self._fail()
                return
            if head.status == 101:  # a switch of protocols is the response
                self._on_switching(head, data[end:])
                return
            data = data[end:]
            self.interim = True
            handler.on_interim(head)  # the others only precede it
            if not data:
                return
        try:
            left = response_length(head.status, self._method, head.hop_headers)
        except FramingError:
            self._fail()
            return
        self._keep_alive = head.keep_alive and left != UNTIL_CLOSE
        if left >= 0:
            self._sized(head, left, data[end:])
        elif left == CHUNKED:
            self._chunked_response(head, data[end:])
        else:
            self._state = _UNTIL_CLOSE
            handler.on_response(head, left, data[end:], False)

    def _on_switching(self, head: ResponseParser, rest: bytes) -> None:
        """The host speaks another protocol from here on. Where none was asked for, that is an answer without a body, and
        the connection is of no more use."""
        drop(head.headers, b"content-length")
        if self._asks_upgrade and self.handler is not None and switches(head):
            self.interim = True
            self._buffer = rest
            self.handler.on_switching(head)
            return
        self._keep_alive = False
        self._sized(head, 0, rest)

    def _head_incomplete(self, data: bytes) -> None:
        if not fallback_parser.plausible_response(data) or len(data) > self._max_head:
            self._fail()
        else:
            self._buffer = data

    def _sized(self, head: ResponseParser, left: int, body: bytes) -> None:
        handler, have = self.handler, len(body)
        if handler is None:
            return
        if have < left:
            self._state = _BODY
            self._left = left - have
            handler.on_response(head, left, body, False)
            return
        if have > left:
            body = body[:left]
            self._more_than_announced()
        self._finish()
        handler.on_response(head, left, body, True)

    def _chunked_response(self, head: ResponseParser, data: bytes) -> None:
        self._state = _CHUNKS
        self._decoder = decoder = ChunkedDecoder()
        handler = self.handler
        if handler is None:
            return
        try:
            payload = decoder.feed(data)
        except FramingError:
            handler.on_response(head, CHUNKED, decoder.payload, False)
            self._fail()
            return
        trailers = self._finish_chunked(decoder) if decoder.done else NO_TRAILERS
        handler.on_response(head, CHUNKED, payload, decoder.done, trailers)

    def _on_sized(self, data: bytes) -> None:
        handler, left = self.handler, self._left - len(data)
        if handler is None:
            return
        if left > 0:
            self._left = left
            handler.on_response_body(data, False)
            return
        if left < 0:
            data = data[:left]
            self._more_than_announced()
        self._finish()
        handler.on_response_body(data, True)

    def _on_chunks(self, data: bytes) -> None:
        decoder, handler = self._decoder, self.handler
        if decoder is None or handler is None:
            return
        try:
            payload = decoder.feed(data)
        except FramingError:
            if decoder.payload:
                handler.on_response_body(decoder.payload, False)
            self._fail()
            return
        if decoder.done:
            handler.on_response_body(payload, True, self._finish_chunked(decoder))
        elif payload:
            handler.on_response_body(payload, False)

    def _more_than_announced(self) -> None:
        """Bytes after the response: nothing that follows can be trusted."""
        self._keep_alive = False
        self.pool.stats.upstream_cx_protocol_error.value += 1

    def _finish_chunked(self, decoder: ChunkedDecoder) -> Trailers:
        """Ends the response; its trailers, where they are wanted."""
        self._decoder = None
        if decoder.rest:
            self._more_than_announced()
        self._finish()
        return decoder.trailers if self._enable_trailers and decoder.trailers else NO_TRAILERS

    def _finish(self) -> None:
        """The response is complete: the connection rests, or ends when it cannot be used again. What the host has not
        taken of the request by then it need not have."""
        self.handler = None
        self._state = _IDLE
        if not self._keep_alive or not self._request_sent or self._blocked:
            self.ended_here = True
            self.transport.abort()
            return
        if self.requests == self._max_requests:
            self.pool.stats.upstream_cx_max_requests.value += not self._retired
            self.ended_here = True
            self.transport.abort()
            return
        self._idle_since = monotonic()
        self.free_slots = 1
        self.pool.release(self)

    def _fail(self) -> None:
        """What came is not HTTP/1.1."""
        handler, self.handler = self.handler, None
        self._unfinished = handler is not None
        self.ended_here = True
        self.pool.stats.upstream_cx_protocol_error.value += 1
        self._state = _IDLE
        self._abort()
        if handler is not None:
            handler.on_upstream_reset(ResetReason.PROTOCOL_ERROR, self)
