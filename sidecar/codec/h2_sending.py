"""What an HTTP/2 connection sends (RFC 9113): frames collect in `out`, data as far as the windows go, the rest in turn.

Whoever has touched a connection flushes it, once for all that one read has asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.codec.h2_floods import Floods
from sidecar.codec.h2_frames import (
    DATA,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    NO_ERROR,
    ProtocolViolation,
    goaway,
    head,
    header_block,
    ping,
    rst_stream,
    settings,
    window_update,
)
from sidecar.codec.h2_settings import own_settings
from sidecar.codec.h2_stream import H2Stream
from sidecar.codec.hpack_encoder import Encoder
from sidecar.config.http2_model import Http2
from sidecar.http.headers import Headers
from sidecar.telemetry.http2_stats import Http2Load

if TYPE_CHECKING:
    from sidecar.telemetry.http2_stats import Http2Stats

# How much a stream sends before it is another one's turn.
_TURN: Final = DEFAULT_FRAME_SIZE
# Pieces of data that are put together: many small ones are not as many frames.
_SMALL: Final = 1024
# Streams that we have reset lately: what the peer sent before it knew is not its fault.
_MOST_RESETS: Final = 256


class Sending:
    """One end of a connection as far as it sends. `server` says which end this is."""

    def __init__(self, options: Http2, http2_stats: Http2Stats, *, server: bool) -> None:
        self.options = options
        self.http2_stats = http2_stats
        self.server = server
        self.out: list[bytes] = []
        self.streams: dict[int, H2Stream] = {}
        self.blocked = False  # the peer takes nothing: streams keep what they have
        self.ended = False  # by a violation, on either side: nothing more is read
        self.peer_window = DEFAULT_WINDOW
        self.peer_frame_size = DEFAULT_FRAME_SIZE
        self.own_window = options.initial_stream_window_size  # which is never below the default
        self.send_window = DEFAULT_WINDOW  # of the connection
        self.receive_window = options.initial_connection_window_size
        self.last_peer_stream = 0
        self.floods = Floods(options)
        self.encoder = Encoder()
        self._credit = 0
        self._queue: dict[int, H2Stream] = {}
        self._resets: dict[int, None] = {}
        self._unwanted: list[H2Stream] = []
        self._reading = False

    # ── what subclasses say ───────────────────────────────────────────────────────────────────────────────────────────

    def on_stream_closed(self, stream: H2Stream) -> None:
        """The stream is no longer among `streams`."""

    def on_violation(self, violation: ProtocolViolation) -> None:
        """The connection has ended by it; what explains it stands in `out`."""
        raise NotImplementedError

    def touch(self) -> None:
        """The first bytes since the last flush stand in `out`."""

    # ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Our SETTINGS, which come first, and the connection's window, which they do not tell."""
        self.http2_stats.connections[self] = None
        self._put(settings(own_settings(self.options, server=self.server)))
        more = self.options.initial_connection_window_size - DEFAULT_WINDOW
        if more > 0:
            self._put(window_update(0, more))

    def _put(self, data: bytes) -> None:
        out = self.out
        if not out:
            self.touch()
        out.append(data)

    def _control(self, data: bytes) -> None:
        """A frame that answers the peer: it must not make us collect answers that it does not take."""
        self.floods.control_frame()
        self._put(data)

    def send_block(self, number: int, fields: Headers, end: bool) -> None:
        self.floods.frame()
        self._put(header_block(number, self.encoder.encode(fields), end, self.peer_frame_size))

    def send_window_update(self, number: int, increment: int) -> None:
        self.floods.frame()
        self._put(window_update(number, increment))

    def send_ping(self, data: bytes) -> None:
        self.floods.frame()
        self._put(ping(data, ack=False))

    def send_goaway(self, last_stream: int, code: int, debug: bytes = b"") -> None:
        self.http2_stats.goaway_sent.value += 1
        self.floods.frame()
        self._put(goaway(last_stream, code, debug))

    def send_reset(self, number: int, code: int) -> None:
        if len(self._resets) >= _MOST_RESETS:
            del self._resets[next(iter(self._resets))]
        self._resets[number] = None
        self.http2_stats.tx_reset.value += 1
        self._control(rst_stream(number, code))

    def was_reset(self, number: int) -> bool:
        return number in self._resets

    def judge_unsent(self) -> None:
        """The peer has not taken all that was written: too many frames of it end the connection."""
        if self.floods.overflow and not self.ended:
            self._violated(ProtocolViolation(ENHANCE_YOUR_CALM, self.floods.overflow))

    def _violated(self, violation: ProtocolViolation) -> None:
        self.ended = True
        self.http2_stats.violation(violation.detail)
        self.http2_stats.goaway_sent.value += 1
        self._put(goaway(self.last_peer_stream, violation.code, violation.detail.encode()))
        self.on_violation(violation)

    # ── data, as the windows allow ────────────────────────────────────────────────────────────────────────────────────

    def takes(self, size: int) -> bool:
        """Whether a DATA frame of `size` may go out now, before all that waits."""
        if not size:
            return True
        return size <= self.send_window and size <= self.peer_frame_size and not self.blocked

    def send_data(self, stream: H2Stream, data: bytes, end: bool) -> None:
        """A DATA frame, which the windows allow, or more of the stream's last one, as long as that is small and here."""
        size = len(data)
        self.send_window -= size
        out = self.out
        flags = END_STREAM if end else 0
        if stream.frame_head and size + stream.frame_size <= _SMALL:
            at = stream.frame_at
            if at < len(out) and out[at] is stream.frame_head:
                stream.frame_size += size
                stream.frame_head = out[at] = head(stream.frame_size, DATA, flags, stream.number)
                out[at + 1] += data
                return
        self.floods.data_frame()
        first = head(size, DATA, flags, stream.number)
        self._put(first)
        if size:
            stream.frame_at, stream.frame_size, stream.frame_head = len(out) - 1, size, first
            out.append(data)

    def pump(self, stream: H2Stream) -> None:
        """Something waits in the stream: what of it can go out does, the rest when its turn comes."""
        if self._queue or self.blocked:
            self._queue[stream.number] = stream
            return
        stream.drain(self.send_window)
        if stream.waits_for_connection:
            self._queue[stream.number] = stream

    def drain(self) -> None:
        """All that waits has its turn, one stream after another, as far as the connection's window goes."""
        queue = self._queue
        while queue and self.send_window > 0 and not self.blocked:
            number = next(iter(queue))
            stream = queue.pop(number)
            stream.drain(min(self.send_window, _TURN))
            if stream.waits_for_connection:
                queue[number] = stream

    def give_credit(self, size: int) -> None:
        """The connection's window gets `size` bytes back, some time soon."""
        self._credit += size
        if self._credit >= self.options.initial_connection_window_size >> 1:
            credit, self._credit = self._credit, 0
            self.receive_window += credit
            self.send_window_update(0, credit)

    # ── how streams end ───────────────────────────────────────────────────────────────────────────────────────────────

    def not_wanted(self, stream: H2Stream) -> None:
        """Our half of the stream is complete, and nobody wants the rest of the peer's (§8.1): what is here of it by now is
        dropped, and unless that was all the stream is reset."""
        self._unwanted.append(stream)
        if self._reading:
            return
        self._end_unwanted()

    def _end_unwanted(self) -> None:
        unwanted, self._unwanted = self._unwanted, []
        for stream in unwanted:
            stream.abort(NO_ERROR)

    def forget(self, stream: H2Stream, credit: int) -> None:
        """The stream is closed; `credit` is what was held back of the connection's window for it."""
        self.streams.pop(stream.number, None)
        self._queue.pop(stream.number, None)
        if credit:
            self.give_credit(credit)
        self.on_stream_closed(stream)

    def load(self) -> Http2Load:
        """For those who read statistics."""
        waiting = sum([stream.waiting for stream in self.streams.values()])
        return Http2Load(len(self.streams), waiting, self.floods.outbound, self.floods.control)
