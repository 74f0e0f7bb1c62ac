"""The HTTP/1.1 server side of the proxy: one downstream connection, requests in order (pipelined ones wait).

Heads are found here and parsed by `h1_parser`, bodies are framed here and handed on piece by piece. How a connection ends
is `h1_closing`'s. The connection is the `Downstream` of each of its requests.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sidecar.codec import fallback_parser
from sidecar.codec.framing import CHUNKED, ChunkedDecoder, FramingError, chunk, last_chunk, request_length
from sidecar.codec.h1_closing import BODY, CHUNKS, CLOSING, HEAD, TUNNEL, WAIT, ClosableConnection
from sidecar.codec.h1_parser import HeadError
from sidecar.codec.h2_frames import PREFACE
from sidecar.codec.key_case import spell
from sidecar.codec.render import response_head, status_line
from sidecar.config.model import Address
from sidecar.http.head import HTTP10, HTTP11, RequestHead, ResponseHead, Spelling
from sidecar.http.headers import Headers, get
from sidecar.http.status import BODILESS
from sidecar.http.streams import NO_TRAILERS, RequestHandler, Trailers

if TYPE_CHECKING:
    from sidecar.http.connections import ServerCallbacks, Transport

# What a client may send ahead of its turn before its reading is paused. It is not paused for merely having a request in
# flight: a paused transport sees neither FIN nor RST.
MAX_AHEAD: Final = 64 * 1024

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_NO_HEAD: Final = frozenset((b"", b"\r", b"\n"))  # beginnings
_READS_BODY: Final = (BODY, CHUNKS)


class ServerConnection(ClosableConnection):
    """A downstream connection, and the `Downstream` of the request in progress: an asyncio.Protocol, though not by
    inheritance (`process.native`)."""

    def __init__(self, manager: ServerCallbacks, destination: Address | None = None) -> None:
        """`destination` is where the client meant to go, if it was redirected; `local` is that, `own` our real address."""
        super().__init__(manager)
        self._redirected = destination
        self.remote = Address("", 0)
        self.local = self.own = Address("", 0)
        self.kept: dict[Any, Any] = {}  # what filters note for as long as the connection lives, each under itself
        self._decoder: ChunkedDecoder | None = None
        self._http10 = False
        self._chunked = False
        self._busy = False
        self._may_be_http2 = False  # what the client sends through its tunnel
        self._answers_head = False  # the request in progress is a HEAD
        self._max_head = self.config.max_request_headers_kb * 1024
        self._max_requests = self.config.max_requests_per_connection
        self._spelling = self._speller()
        self._received = self.stats.downstream_cx_rx_bytes_total
        self._sent = self.stats.downstream_cx_tx_bytes_total

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        self.remote = address_of(transport.get_extra_info("peername"))
        self.own = address_of(transport.get_extra_info("sockname"))
        self.local = self._redirected or self.own
        self._opened = self._idle_since = monotonic()
        self.manager.opened(self)

    def data_received(self, data: bytes) -> None:
        self._received.value += len(data)
        if self._state == HEAD and not self._buffer and not self._busy:  # the usual case
            self._buffer = data
            self._next()
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        state = self._state
        if state == HEAD:
            self._buffer = self._buffer + data if self._buffer else data
            if not self._busy:
                self._next()
        elif state == BODY:
            self._on_sized(data)
        elif state == CHUNKS:
            self._on_chunks(data)
        elif state == WAIT:
            self._buffer += data
            if len(self._buffer) > MAX_AHEAD:
                self.pause_reading()
        elif state == TUNNEL and self._handler is not None:
            if self._may_be_http2:
                self._look_into_tunnel(data, self._handler)
            else:
                self._handler.on_request_body(data, False)

    def eof_received(self) -> bool:
        return False  # Envoy has no half-closed HTTP connections either, tunnels included

    def pause_writing(self) -> None:
        self._blocked = True
        if self._handler is not None:
            self._handler.on_client_blocked()

    def resume_writing(self) -> None:
        self._blocked = False
        if self._handler is not None:
            self._handler.on_client_ready()
        elif self._state == WAIT:
            self._state = HEAD
            self._next()

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _next(self) -> None:
        """Begins as many requests as the buffer holds; each has to be answered before the next one begins."""
        self._busy = True
        while self._buffer and self._state == HEAD:
            if not self._begin():
                break
        self._busy = False
        if self._paused and self._state not in _READS_BODY and len(self._buffer) <= MAX_AHEAD:
            self.resume_reading()

    def _begin(self) -> bool:
        """One request from the buffer's beginning; False when its head is not complete yet."""
        data = self._buffer
        if data[:1] in _NO_HEAD:
            data = self._buffer = data.lstrip(b"\r\n")
            if not data:
                return False
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            end = fallback_parser.head_end(data)
            if end < 0:
                return self._head_incomplete(data)
        parser = self._parser
        try:
            if end == len(data):
                self._buffer = b""
                head = data
            else:
                head, self._buffer = data[:end], data[end:]
            if end > self._max_head:
                raise HeadError("http1.headers_too_large")
            try:
                request = parser.parse(head)
            except HeadError:  # llhttp is stricter than Envoy in places: our own parser decides
                end = fallback_parser.head_end(head)  # with bare line feeds a head may end before the first CRLF CRLF
                self._buffer = head[end:] + self._buffer
                request = fallback_parser.parse(head[:end], parser, self.config.accept_http_10)
            hop_headers = request.hop_headers
            length = request_length(hop_headers) if len(hop_headers) > 1 else 0  # more than the host
        except (HeadError, FramingError) as error:
            if not self._hand_to_http2(data):
                self._refuse_head(str(error))
            return False
        self._start(request, length)
        return True

    def _head_incomplete(self, data: bytes) -> bool:
        if len(data) > self._max_head:
            self._refuse_head("http1.headers_too_large")
        elif (detail := fallback_parser.hopeless(data, self.config.accept_http_10)) == fallback_parser.SIMPLE:
            self._buffer = b""  # whatever follows the line is not part of it, and the connection ends with its answer
            self._start(fallback_parser.parse(data, self._parser, True), 0)
        elif detail is not None and not PREFACE.startswith(data):
            self._refuse_head(detail)
        else:
            self._watch_head()
        return False

    def _look_into_tunnel(self, data: bytes, handler: RequestHandler) -> None:
        """The first bytes of a tunnel to a host of the mesh: HTTP/2 is no secret, and each of its requests is carried."""
        data = self._buffer + data
        if len(data) < len(PREFACE) and PREFACE.startswith(data):
            self._buffer = data
            return
        self._buffer = b""
        self._may_be_http2 = False
        if not data.startswith(PREFACE):
            handler.on_request_body(data, False)
            return
        self._handler = None
        handler.on_superseded()
        self._become_http2(data)

    def _hand_to_http2(self, data: bytes) -> bool:
        """Whether this is how HTTP/2 begins, and the connection is its from here on (RFC 9113 §3.4)."""
        begins = data.startswith(PREFACE) or PREFACE.startswith(data)
        if self._requests or not begins or self.config.codec == "HTTP1":
            return False
        self._become_http2(data)
        return True

    def _become_http2(self, data: bytes) -> None:
        self._cancel_timer()
        self._gone = True
        self._state = CLOSING
        self._parser.forget()
        successor = self.manager.speaks_http2(self, self._redirected)
        self.transport.set_protocol(successor)
        successor.take_over(self.transport, self._opened, data)

    def _watch_head(self) -> None:
        """A head has begun and has to be completed in time."""
        if self._timer is not None:
            return
        config = self.config
        limits = (
            (
                config.request_headers_timeout,
                b"request header timeout",
                "request_header_timeout",
                fallback_parser.NO_FLAG,
            ),
            (config.request_timeout, b"request timeout", "request_overall_timeout", fallback_parser.NO_FLAG),
            (config.stream_idle_timeout, b"stream timeout", "stream_idle_timeout", fallback_parser.STREAM_IDLE),
        )
        set_limits = [limit for limit in limits if limit[0]]
        if set_limits:
            seconds, body, detail, flags = min(set_limits)
            self._timer = self.manager.loop.call_later(seconds, self._head_too_slow, body, detail, flags)

    def _head_too_slow(self, body: bytes, detail: str, flags: int) -> None:
        self._timer = None
        stats = self.stats
        if detail == "request_header_timeout":
            counter = stats.downstream_rq_header_timeout
        else:
            counter = stats.downstream_rq_idle_timeout if flags else stats.downstream_rq_timeout
        counter.value += 1
        self._refuse(408, body, detail, flags)

    def _start(self, head: RequestHead, length: int) -> None:
        if self._timer is not None:
            self._cancel_timer()
        self._requests += 1
        self._http10 = head.protocol == HTTP10
        self._answers_head = head.method == b"HEAD"
        self._close_after = not head.keep_alive
        if self._requests == self._max_requests:
            self._close_after = True
            self.stats.downstream_cx_max_requests_reached.value += 1
        self._handler = handler = self.manager.begin(self, head, length, monotonic())
        hop_headers = head.hop_headers
        if b"expect" in hop_headers and self.manager.answers_continue(hop_headers[b"expect"], self._http10):
            self._sent.value += len(_CONTINUE)
            self.transport.write(_CONTINUE)
        if length == 0:
            self._request_done = True
            self._state = WAIT
            handler.start()
            return
        self._request_done = False
        if length == CHUNKED:
            self._state = CHUNKS
            self._decoder = ChunkedDecoder()
        else:
            self._state = BODY
            self._left = length
        rest, self._buffer = self._buffer, b""
        if self._paused:  # from here on only the body's way upstream holds it up
            self.resume_reading()
        handler.start()
        if rest and self._state in _READS_BODY:
            self._take(rest)

    def _refuse_head(self, detail: str) -> None:
        """A head that is not HTTP as Envoy knows it: answered, logged, and the connection ends."""
        status, body = fallback_parser.answer(detail)
        self.stats.downstream_cx_protocol_error.value += 1
        self._refuse(status, body, detail)

    def _refuse(self, status: int, body: bytes, detail: str, flags: int = fallback_parser.PROTOCOL_ERROR) -> None:
        self._cancel_timer()
        self._buffer = b""
        self._http10 = False
        self._request_done = False
        self._close_after = True
        self._answers_head = False
        self._handler = handler = self._refused()
        self._state = WAIT
        handler.refuse(status, body, detail, flags)

    def _refused(self) -> RequestHandler:
        return self.manager.begin_refused(self, monotonic(), HTTP11)

    # ── request bodies ────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_sized(self, data: bytes) -> None:
        handler, left = self._handler, self._left - len(data)
        if handler is None:
            return
        if left > 0:
            self._left = left
            handler.on_request_body(data, False)
            return
        if left < 0:
            data, self._buffer = data[:left], data[left:]
        self._body_done()
        handler.on_request_body(data, True)

    def _on_chunks(self, data: bytes) -> None:
        decoder, handler = self._decoder, self._handler
        if decoder is None or handler is None:
            return
        try:
            payload = decoder.feed(data)
        except FramingError as error:
            if decoder.payload:
                handler.on_request_body(decoder.payload, False)
            self._state = CLOSING
            self._close_after = True
            self.stats.downstream_cx_protocol_error.value += 1
            handler.on_bad_body(str(error))
            return
        if decoder.done:
            self._buffer = decoder.rest
            self._decoder = None
            self._body_done()
            trailers = decoder.trailers if self.config.enable_trailers and decoder.trailers else NO_TRAILERS
            handler.on_request_body(payload, True, trailers)
        elif payload:
            handler.on_request_body(payload, False)

    def _body_done(self) -> None:
        self._request_done = True
        self._state = WAIT

    # ── the response ──────────────────────────────────────────────────────────────────────────────────────────────────

    def respond(
        self, head: ResponseHead, length: int, body: bytes, end: bool, trailers: Trailers = NO_TRAILERS
    ) -> None:
        headers = head.headers
        self._chunked = False
        if length <= 0 or self._answers_head:
            self._frame(head.status, headers, length)
        if self._close_after or self._draining or not self._request_done:
            self._say_how_it_goes_on(headers)
        elif self._http10:
            headers.append((b"connection", b"keep-alive"))
        data, spelling = response_head(head.status, headers), head.spelling or self._spelling
        if spelling is not None:
            data = spell(data, spelling)
        if self._http10 and head.status != 426:  # the refusal of a version speaks the version that is wanted
            data = b"HTTP/1.0" + data[8:]
        if body:
            data += chunk(body) if self._chunked else body
        if end and self._chunked:
            data += last_chunk(trailers if self.config.enable_trailers else NO_TRAILERS)
        self._sent.value += len(data)
        self.transport.write(data)
        if end:
            self._response_done()

    def _frame(self, status: int, headers: Headers, length: int) -> None:
        """The fields that say how long the body is, where they are not there already: chunked, for HTTP/1.0 until close;
        of an answer to HEAD they say it of the body that does not come."""
        if status in BODILESS:
            return
        if self._answers_head:
            if not self._http10 and get(headers, b"content-length") is None:
                headers.append((b"transfer-encoding", b"chunked"))
        elif length == 0:
            if get(headers, b"content-length") is None:
                headers.append((b"content-length", b"0"))
        elif self._http10:
            self._close_after = True
        else:
            self._chunked = True
            headers.append((b"transfer-encoding", b"chunked"))

    def _say_how_it_goes_on(self, headers: Headers) -> None:
        """This response is the connection's last, or the first one of those that say that it will end."""
        if self._close_after or not self._request_done:
            self._close_after = True
            headers.append((b"connection", b"close"))
        elif self._leaves():
            headers.append((b"connection", b"close"))
        elif self._http10:
            headers.append((b"connection", b"keep-alive"))

    def _speller(self) -> Spelling | None:
        """How names are written that have no spelling of their own, where that is not in lower case."""
        return None

    def _render(self, head: ResponseHead) -> bytes:
        data, spelling = response_head(head.status, head.headers), head.spelling or self._spelling
        return data if spelling is None else spell(data, spelling)

    def send_body(self, data: bytes, end: bool, trailers: Trailers = NO_TRAILERS) -> None:
        if self._chunked:
            if data:
                data = chunk(data)
            if end:
                data += last_chunk(trailers if self.config.enable_trailers else NO_TRAILERS)
        if data:
            self._sent.value += len(data)
            self.transport.write(data)
        if end:
            self._response_done()

    def interim(self, head: ResponseHead) -> None:
        data = self._render(head) if head.headers else status_line(head.status) + b"\r\n"
        self._sent.value += len(data)
        self.transport.write(data)

    def switch(self, head: ResponseHead, *, may_be_http2: bool = False) -> None:
        hop_headers = head.hop_headers
        if head.status == 101:
            head.headers.append((b"connection", hop_headers[b"connection"]))
            head.headers.append((b"upgrade", hop_headers[b"upgrade"]))
        self._state = TUNNEL
        self._may_be_http2 = may_be_http2
        self._chunked = False
        self.resume_reading()
        data = self._render(head)
        if self._http10:
            data = b"HTTP/1.0" + data[8:]
        self._sent.value += len(data)
        self.transport.write(data)
        if self._buffer and self._handler is not None:
            data, self._buffer = self._buffer, b""
            self._take(data)

    def replace(self, handler: RequestHandler) -> None:
        self._handler = handler

    def _response_done(self) -> None:
        self._handler = None
        if self._close_after:
            if self._request_done and not self._close_slowly:
                self._close()
            else:
                if not self._request_done:
                    self.stats.downstream_rq_response_before_rq_complete.value += 1
                    self.stats.downstream_rq_rx_reset.value += 1
                self._close_later()
            return
        self._idle_since = monotonic()
        if self._blocked:  # the next response would only pile up on this one
            self._state = WAIT
            return
        self._state = HEAD
        if (self._buffer or self._paused) and not self._busy:
            self._next()


def address_of(name: Any) -> Address:
    """An address as transports tell it."""
    return Address(name[0], name[1]) if isinstance(name, tuple) else Address(str(name or ""), 0)
