"""The HTTP/2 server side of the proxy: one downstream connection, and its requests, a stream each.

The connection is a session with a socket. Each of its streams is the `Downstream` of a request. How it ends: by a GOAWAY
that names no stream, a second one that names the last, and the end of the streams that are left (RFC 9113 §6.8).
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from sidecar.codec import h2_heads
from sidecar.codec.h2_connection import Connection
from sidecar.codec.h2_downstream import ServerStream
from sidecar.codec.h2_frames import (
    INTERNAL_ERROR,
    LARGEST_WINDOW,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    ProtocolViolation,
)
from sidecar.codec.h2_stream import H2Stream
from sidecar.config.model import Address
from sidecar.http.head import HTTP2, RequestHead
from sidecar.process.timers import NEVER

if TYPE_CHECKING:
    from sidecar.codec.hpack_decoder import Field
    from sidecar.http.connections import ServerCallbacks, Transport

# What a connection makes of a drain: nothing, asks at each response, has announced its end, has said which stream is last.
_STAYS: Final = 0
_MAY_LEAVE: Final = 1
_LEAVES: Final = 2
_LEFT: Final = 3

# Of so many streams, more than half reset by the client within a second of their beginning: nobody honest does that
# (CVE-2023-44487). Envoy's `overload.premature_reset_…` defaults.
_RESETS_LOOKED_AT: Final = 500

# How long a client has to take the reason for the end where there is no delayed_close_timeout.
_LINGER: Final = 1.0


class ServerConnection(Connection):
    """A downstream connection, as its connection manager sees it."""

    def __init__(self, manager: ServerCallbacks, destination: Address | None = None) -> None:
        config = manager.config
        max_head = config.max_request_headers_kb * 1024
        super().__init__(
            config.http2,
            manager.http2_stats,
            h2_heads.REQUEST_STATIC,
            manager.loop,
            manager.stats.downstream_cx_rx_bytes_total,
            manager.stats.downstream_cx_tx_bytes_total,
            server=True,
            max_head=max_head,
        )
        self.manager = manager
        self.config = config
        self._underscores = config.underscores != "ALLOW"  # whether they matter
        self.stats = manager.stats
        self._redirected = destination
        self.remote = Address("", 0)
        self.local = self.own = Address("", 0)
        self.kept: dict[Any, Any] = {}
        self.http2 = True
        self._preface = PREFACE  # what of it has not come yet
        self._draining = _STAYS
        self._highest_seen = 0  # of the streams that came too late to be answered
        self._flushing: dict[int, ServerStream] = {}  # answers that are complete, and not all taken
        self._drain_at = NEVER
        self._opened = 0.0
        self._finished = 0  # streams
        self._premature = 0

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Transport) -> None:
        self._use(transport)
        self._opened = self._idle_since = monotonic()
        self.manager.opened(self)
        self.begin()

    def take_over(self, transport: Transport, opened: float, data: bytes) -> None:
        """Goes on where another connection has found out what the client speaks."""
        self._use(transport)
        self._opened = self._idle_since = opened
        self.begin()
        self._take(data)

    def _use(self, transport: Transport) -> None:
        self.transport = transport
        self.remote = address_of(transport.get_extra_info("peername"))
        self.own = address_of(transport.get_extra_info("sockname"))
        self.local = self._redirected or self.own
        self._keep_alive()

    def data_received(self, data: bytes) -> None:
        self._received.value += len(data)
        self._take(data)

    def _take(self, data: bytes) -> None:
        if self._closing:
            return
        if self._keepalives is not None:
            self._keepalives.heard()
        if self._preface:
            data = self._take_preface(data)
            if not data:
                return
        self._read(data)

    def _take_preface(self, data: bytes) -> bytes:
        """What follows the preface, as far as it is there."""
        size = len(self._preface)
        if not self._preface.startswith(data[:size]):
            self._violated(ProtocolViolation(PROTOCOL_ERROR, "http2.bad_preface"))
            return b""
        self._preface = self._preface[len(data) :]
        return data[size:]

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost:
            self._lost("downstream_remote_disconnect")

    def _lost(self, detail: str) -> None:
        self._set_lost()
        in_use = bool(self.streams)
        self.end_streams(detail)
        self.manager.closed(self, monotonic() - self._opened, in_use=in_use)

    # ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def on_head(self, number: int, fields: list[Field], end: bool) -> None:
        if not number % 2:
            raise ProtocolViolation(PROTOCOL_ERROR, h2_heads.INVALID_FIELD)
        if number <= self.last_peer_stream:
            if self.was_reset(number):
                return
            raise ProtocolViolation(STREAM_CLOSED, "http2.stream_closed")
        if self._draining == _LEFT:
            self._highest_seen = max(self._highest_seen, number)
            return  # it was told that this one would not be answered
        self.last_peer_stream = number
        self.floods.streams += 1
        if len(self.streams) >= self.options.max_concurrent_streams:
            self.http2_stats.stream_refused_errors.value += 1
            self.send_reset(number, REFUSED_STREAM)
            return
        stream = ServerStream(self, number)
        self.streams[number] = stream
        if self.decoder.oversized:
            self._refuse(stream, "http2.header_list_size_too_large")
            return
        try:
            head = h2_heads.request(fields, extended_connect=self.options.allow_connect)
            length = h2_heads.length_of(head.hop_headers)
            if end:
                if length > 0:
                    raise h2_heads.MalformedError(h2_heads.INVALID_MESSAGE)
                length = 0
        except h2_heads.MalformedError as error:
            self._malformed(stream, str(error))
            raise self.malformed(stream, str(error)) from error
        if len(fields) > self.config.max_headers_count:
            self.http2_stats.header_overflow.value += 1
            self._refuse(stream, "http2.too_many_headers")
            return
        if self._underscores and not self._takes_underscores(head):
            self._refuse(stream, "http2.unexpected_underscore")
            return
        stream.body_left = length
        if end:
            stream.remote_end()
        stream.begin(head, length)

    def _takes_underscores(self, head: RequestHead) -> bool:
        """Whether the request may pass; names with underscores may not."""
        if not any(b"_" in name for name, _ in head.headers):
            return True
        if self.config.underscores == "REJECT_REQUEST":
            self.http2_stats.requests_rejected_with_underscores_in_headers.value += 1
            return False
        kept = [header for header in head.headers if b"_" not in header[0]]
        self.http2_stats.dropped_headers_with_underscores.value += len(head.headers) - len(kept)
        head.headers = kept
        return True

    def _malformed(self, stream: ServerStream, detail: str) -> None:
        """Nobody answers what is no request, but the log tells of it."""
        stream.violated = stream.no_request = True
        stream.handler = self.manager.begin_refused(stream, monotonic(), HTTP2)

    def _refuse(self, stream: ServerStream, detail: str) -> None:
        """More of a head than may be: Envoy's answer is the end of the stream."""
        handler = self.manager.begin_refused(stream, monotonic(), HTTP2)
        stream.abort(INTERNAL_ERROR)
        handler.on_client_reset(detail)

    def awaits_head(self, stream: H2Stream) -> bool:
        return False

    def is_known(self, number: int) -> bool:
        return number % 2 == 1 and number <= max(self.last_peer_stream, self._highest_seen)

    def on_stream_closed(self, stream: H2Stream) -> None:
        self._finished += 1
        self._flushing.pop(stream.number, None)
        if not self.streams:
            self._idle_since = monotonic()
            if self._draining == _LEFT:
                self._close()

    def on_answer(self) -> None:
        """A response is about to be sent: it may be the moment to announce the connection's end."""
        if self._draining == _MAY_LEAVE and (self.manager.ends_keep_alive() or self.manager.gives_up()):
            self.stats.downstream_cx_drain_close.value += 1
            self._announce_end(monotonic())

    def on_violation(self, violation: ProtocolViolation) -> None:
        self.stats.downstream_cx_protocol_error.value += 1
        self.end_streams(violation.detail)
        self._closing = True
        self.ended_here = True
        if self.config.delayed_close_timeout:
            self.deadline = monotonic() + self.config.delayed_close_timeout
            return
        self.deadline = monotonic() + _LINGER
        self.flush()
        self.transport.close()

    def on_premature_reset(self) -> None:
        """The client has reset a stream that had hardly begun."""
        self._premature += 1
        if self._finished >= _RESETS_LOOKED_AT and self._premature * 2 > self._finished:
            self.cut_off("http2.too_many_premature_resets")

    # ── limits and ends ───────────────────────────────────────────────────────────────────────────────────────────────

    def on_deadline(self, now: float) -> None:
        config = self.config
        if self._closing:
            self.deadline = NEVER
            self.transport.abort()
            return
        flushing = self._give_up_flushing(now) if self._flushing else NEVER
        if self._closing:
            return
        if now >= self._drain_at:
            self._say_last()
        elif self._draining >= _LEAVES:
            pass
        elif config.max_connection_duration and now - self._opened >= config.max_connection_duration:
            self.stats.downstream_cx_max_duration_reached.value += 1
            self._announce_end(now)
        elif not self.streams and config.idle_timeout and now - self._idle_since >= config.idle_timeout:
            self.stats.downstream_cx_idle_timeout.value += 1
            self._announce_end(now)
        if not self._closing:
            look = self.manager.next_look(now, self._opened, self._idle_since)
            self.deadline = min(look, self._drain_at, flushing)

    def on_flushing(self, stream: ServerStream) -> None:
        """An answer is complete, but not all of it can go out: nobody else watches it from here on."""
        timeout = self.config.stream_idle_timeout
        if timeout:
            self._flushing[stream.number] = stream
            stream.flush_left, stream.flush_since = stream.waiting, monotonic()
            self.deadline = min(self.deadline, stream.flush_since + timeout)

    def _give_up_flushing(self, now: float) -> float:
        """Resets the streams whose client takes nothing any more; when to look again."""
        timeout = self.config.stream_idle_timeout
        look = NEVER
        for stream in list(self._flushing.values()):
            if stream.waiting != stream.flush_left:
                stream.flush_left, stream.flush_since = stream.waiting, now
            if now - stream.flush_since >= timeout:
                self.http2_stats.tx_flush_timeout.value += 1
                stream.abort(INTERNAL_ERROR)
            else:
                look = min(look, stream.flush_since + timeout)
        return look

    def may_leave(self, may: bool) -> None:
        if self._draining < _LEAVES:
            self._draining = _MAY_LEAVE if may else _STAYS

    def _announce_end(self, now: float) -> None:
        """No new streams, please; those that are on their way are still answered."""
        self._draining = _LEAVES
        self._drain_at = now + self.config.drain_timeout
        self.deadline = min(self.deadline, self._drain_at)
        self.send_goaway(LARGEST_WINDOW, NO_ERROR)

    def _say_last(self) -> None:
        """Which stream is the last one that is answered; with it the connection ends."""
        if self._draining == _LEFT:
            return
        self._draining = _LEFT
        self._drain_at = NEVER
        self.send_goaway(self.last_peer_stream, NO_ERROR)
        if not self.streams:
            self._close()

    def end_soon(self) -> None:
        self._say_last()

    def on_pong(self, data: bytes) -> None:
        if self._keepalives is not None:
            self._keepalives.answered(data)

    def on_silence(self) -> None:
        self.http2_stats.keepalive_timeout.value += 1
        self.cut_off("downstream_local_disconnect(http2_ping_timeout)")

    def cut_off(self, detail: str) -> None:
        self.ended_here = True
        self.transport.abort()
        self._lost(detail)

    def _close(self) -> None:
        """Nothing is in flight: what was written goes out, then the connection ends."""
        if not self._closing:
            self._closing = True
            self.ended_here = True
            self.flush()
            self.deadline = monotonic() + (self.config.delayed_close_timeout or NEVER)
            self.transport.close()


def address_of(name: Any) -> Address:
    """An address as transports tell it."""
    return Address(name[0], name[1]) if isinstance(name, tuple) else Address(str(name or ""), 0)
