"""The HTTP/2 client side of the proxy: one connection to an upstream host, a stream for each request (`h2_upstream`)."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

from sidecar.codec import h2_heads
from sidecar.codec.h2_connection import Connection
from sidecar.codec.h2_frames import INTERNAL_ERROR, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM, ProtocolViolation
from sidecar.codec.h2_stream import H2Stream, StreamViolation
from sidecar.codec.h2_upstream import ClientStream
from sidecar.process.timers import NEVER

if TYPE_CHECKING:
    from sidecar.codec.hpack_decoder import Field
    from sidecar.config.http2_model import Http2
    from sidecar.http.connections import PoolCallbacks, Transport
    from sidecar.process.timers import Deadlines

_LAST_NUMBER: Final = (1 << 31) - 1
# How many streams a host takes for all we know, until it has said.
_UNTIL_SETTLED: Final = 100
# How long a host has to take the reason for the end.
_LINGER: Final = 1.0


class ClientConnection(Connection):
    """A `PooledConnection` of as many slots as both sides allow."""

    def __init__(
        self,
        pool: PoolCallbacks,
        options: Http2,
        loop: asyncio.AbstractEventLoop,
        *,
        max_requests: int,
        idle_timeout: float,
        deadlines: Deadlines,
        max_duration: float = 0.0,
        max_head: int = 60 * 1024,
        max_headers: int = 100,
    ) -> None:
        super().__init__(
            options,
            pool.stats.http2(),
            h2_heads.RESPONSE_STATIC,
            loop,
            pool.stats.upstream_cx_rx_bytes_total,
            pool.stats.upstream_cx_tx_bytes_total,
            server=False,
            max_head=max_head,
        )
        self.pool = pool
        self.local = ""
        self.opened = 0.0
        self.requests = 0
        self.free_slots = min(_UNTIL_SETTLED, options.max_concurrent_streams)
        self._max_requests = max_requests
        self._max_headers = max_headers
        self._idle_timeout = idle_timeout
        self._max_duration = max_duration
        self._deadlines = deadlines
        self._next_number = 1
        self._taken = 0  # slots whose request has not been sent yet
        self._retired = False
        self._linger: asyncio.TimerHandle | None = None

    # ── asyncio's side ────────────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        local = transport.get_extra_info("sockname")
        self.local = f"{local[0]}:{local[1]}" if local else ""
        self.opened = self._idle_since = monotonic()
        if self._idle_timeout or self._max_duration:
            self._set_deadline(self._idle_since)
            self._deadlines.add(self)
        self._put(PREFACE)
        self.begin()
        self._keep_alive()

    def data_received(self, data: bytes) -> None:
        self._received.value += len(data)
        if self._keepalives is not None:
            self._keepalives.heard()
        self._read(data)

    def eof_received(self) -> bool:
        self._end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._set_lost()
        self._deadlines.remove(self)
        if self._linger is not None:
            self._linger.cancel()
        in_use = bool(self.streams)
        self.end_streams("")
        self.pool.closed(self, in_use=in_use)

    # ── the pool's side ───────────────────────────────────────────────────────────────────────────────────────────────

    def take(self) -> ClientStream:
        stream = ClientStream(self)
        self.requests += 1
        self._taken += 1
        if self.requests == self._max_requests:
            self.pool.stats.upstream_cx_max_requests.value += 1
            self._retire()
        else:
            self.free_slots -= 1
        return stream

    def _count_slots(self) -> None:
        limit = self.peer.max_concurrent_streams if self._settled else _UNTIL_SETTLED
        free = min(limit, self.options.max_concurrent_streams) - len(self.streams) - self._taken
        self.free_slots = 0 if self._retired else max(free, 0)

    def number(self, stream: ClientStream) -> None:
        """The stream's request is about to be sent."""
        self._taken -= 1
        if self._keepalives is not None:
            self._keepalives.before_stream()
        stream.number = self._next_number
        self._next_number += 2
        self.streams[stream.number] = stream
        self.floods.streams += 1
        if self._next_number >= _LAST_NUMBER:
            self._retire()
        if self.lost:
            stream.end_by_peer()
            stream.on_reset(REFUSED_STREAM, "")

    def unused(self) -> None:
        """A slot was taken, and is given back without a request."""
        self._taken -= 1
        self._slot_free()

    def retire(self) -> None:
        self._retire()
        self._close_if_done()

    def _retire(self) -> None:
        if not self._retired:
            self._retired = True
            self.free_slots = 0
            self.pool.withdraw(self)

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        """Ends the connection; `connection_lost` comes later, and until then nobody must be given it."""
        if not self._closing:
            self._closing = True
            self.ended_here = True
            self._retire()
            self.transport.abort()

    def _close_if_done(self) -> None:
        if not self.streams and not self._taken:
            self._end()

    def on_deadline(self, now: float) -> None:
        stats = self.pool.stats
        idle = not self.streams and not self._taken
        if self._max_duration and not self._retired and now - self.opened >= self._max_duration:
            stats.upstream_cx_max_duration_reached.value += 1
            self.retire()
        elif self._idle_timeout and idle and now - self._idle_since >= self._idle_timeout:
            stats.upstream_cx_idle_timeout.value += 1
            self._end()
        self._set_deadline(self._idle_since if idle else now)

    def _set_deadline(self, idle_since: float) -> None:
        idle = idle_since + self._idle_timeout if self._idle_timeout else NEVER
        old = self.opened + self._max_duration if self._max_duration and not self._retired else NEVER
        self.deadline = min(idle, old)

    def on_pong(self, data: bytes) -> None:
        if self._keepalives is not None:
            self._keepalives.answered(data)

    def on_silence(self) -> None:
        self.http2_stats.keepalive_timeout.value += 1
        self._end()

    # ── the session's side ────────────────────────────────────────────────────────────────────────────────────────────

    def on_head(self, number: int, fields: list[Field], end: bool) -> None:
        stream = self.streams.get(number)
        if stream is None:
            if self.is_known(number):
                return  # it was reset
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.unexpected_stream")
        assert isinstance(stream, ClientStream)  # noqa: S101  # made here
        if self.decoder.oversized:
            raise StreamViolation(stream, INTERNAL_ERROR, "http2.headers_too_large")
        if len(fields) > self._max_headers:
            self.http2_stats.header_overflow.value += 1
            raise StreamViolation(stream, INTERNAL_ERROR, "http2.too_many_headers")
        try:
            head = h2_heads.response(fields)
            if end and (
                head.status < 200 or (h2_heads.length_of(head.hop_headers) > 0 and not stream.bodiless(head.status))
            ):
                raise h2_heads.MalformedError(h2_heads.INVALID_MESSAGE)
        except h2_heads.MalformedError as error:
            raise self.malformed(stream, str(error)) from error
        stream.on_answer(head, end)

    def awaits_head(self, stream: H2Stream) -> bool:
        assert isinstance(stream, ClientStream)  # noqa: S101  # made here
        return not stream.answered

    def is_known(self, number: int) -> bool:
        return number % 2 == 1 and number < self._next_number

    def on_stream_closed(self, stream: H2Stream) -> None:
        self._slot_free()

    def _slot_free(self) -> None:
        if not self.streams and not self._taken:
            self._idle_since = monotonic()
        if self._retired:
            self._close_if_done()
        else:
            self._count_slots()
            self.pool.release(self)

    def on_settings(self) -> None:
        """The host may take more streams than before, or fewer."""
        if self._retired:
            return
        self._count_slots()
        if self.free_slots:
            self.pool.release(self)
        else:
            self.pool.withdraw(self)

    def on_goaway(self, last_stream: int, code: int) -> None:
        self._retire()
        for number, stream in list(self.streams.items()):
            if number > last_stream:
                stream.end_by_peer()
                stream.on_reset(REFUSED_STREAM, "")  # certainly not processed (§6.8)
        self._close_if_done()

    def on_violation(self, violation: ProtocolViolation) -> None:
        self.pool.stats.upstream_cx_protocol_error.value += 1
        self._retire()
        self.flush()
        self.end_streams(violation.detail)
        self._closing = True
        self.ended_here = True
        self._linger = self._loop.call_later(_LINGER, self.transport.abort)
        self.transport.close()
