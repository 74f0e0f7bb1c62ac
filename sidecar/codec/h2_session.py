"""One HTTP/2 connection without its socket (RFC 9113): bytes in, calls and bytes out.

`receive` takes what came; what there is to send collects in `out` until somebody flushes it, once for all that one read
has touched. Subclasses say what a new stream, a head, trailers and the end of the connection mean to them.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from sidecar.codec import h2_heads
from sidecar.codec.h2_floods import Floods
from sidecar.codec.h2_frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEAD_SIZE,
    HEADERS,
    LARGEST_WINDOW,
    NO_ERROR,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    STREAM_CLOSED,
    STREAM_MASK,
    WINDOW_UPDATE,
    ProtocolViolation,
    goaway,
    head,
    header_block,
    ping,
    rst_stream,
    settings,
    window_update,
)
from sidecar.codec.h2_settings import PeerSettings, own_settings
from sidecar.codec.h2_stream import H2Stream, StreamViolation
from sidecar.codec.hpack_decoder import Decoder, Field
from sidecar.codec.hpack_encoder import Encoder
from sidecar.codec.hpack_table import HpackError
from sidecar.config.http2_model import Http2
from sidecar.http.headers import Headers

_head: Final = Struct(">HBBBL").unpack_from
_word: Final = Struct(">L").unpack_from
_two_words: Final = Struct(">LL").unpack_from

# How much a stream sends before it is another one's turn.
_TURN: Final = DEFAULT_FRAME_SIZE
# Pieces of data that are put together: many small ones are not as many frames.
_SMALL: Final = 1024
# Streams that we have reset lately: what the peer sent before it knew is not its fault.
_MOST_RESETS: Final = 256


class Session:
    """What both ends have in common. `server` says which one this is."""

    def __init__(self, options: Http2, static: list[Field], *, server: bool, max_head: int) -> None:
        self.options = options
        self.server = server
        self.out: list[bytes] = []
        self.streams: dict[int, H2Stream] = {}
        self.blocked = False  # the peer takes nothing: streams keep what they have
        self.ended = False  # by a violation, on either side: nothing more is read
        self.peer = PeerSettings()
        self.peer_window = DEFAULT_WINDOW
        self.peer_frame_size = DEFAULT_FRAME_SIZE
        self.own_window = options.initial_stream_window_size  # which is never below the default
        self.send_window = DEFAULT_WINDOW  # of the connection
        self.receive_window = options.initial_connection_window_size
        self.last_peer_stream = 0
        self.peer_goaway = -1  # the last stream that the peer will answer, once it says so
        self.peer_goaway_code = NO_ERROR
        self.floods = Floods(options)
        self.encoder = Encoder()
        judge = h2_heads.request_kind if server else h2_heads.response_kind
        self.decoder = Decoder(static, judge, max_list=max_head, max_table=options.hpack_table_size)
        self._max_block = 2 * max_head  # what its fields may be encoded in
        self._credit = 0
        self._queue: dict[int, H2Stream] = {}
        self._buffer = b""
        self._settled = False  # the peer's first SETTINGS have come
        self._acknowledged = False  # ours are known to the peer
        self._data: H2Stream | None = None  # whose DATA frame is coming in pieces
        self._data_left = 0
        self._data_ends = False
        self._block: list[bytes] = []  # a header block that comes in pieces
        self._block_size = 0
        self._block_stream = 0
        self._block_ends = False
        self._resets: dict[int, None] = {}
        self._unwanted: list[H2Stream] = []
        self._reading = False

    # ── what subclasses say ───────────────────────────────────────────────────────────────────────────────────────────

    def on_head(self, number: int, fields: list[Field], end: bool) -> None:
        """A block that begins a message: on a stream that is not open yet (server), or that waits for it (client)."""
        raise NotImplementedError

    def awaits_head(self, stream: H2Stream) -> bool:
        """Whether the next block on an open stream is a head; else it is trailers."""
        raise NotImplementedError

    def on_stream_closed(self, stream: H2Stream) -> None:
        """The stream is no longer among `streams`."""

    def on_settings(self) -> None:
        """The peer's settings have changed."""

    def on_goaway(self, last_stream: int, code: int) -> None:
        """The peer will not answer streams after `last_stream`."""

    def on_peer_reset(self) -> None:
        """The peer has reset a stream."""

    def on_own_reset(self) -> None:
        """We have."""

    def on_pong(self, data: bytes) -> None:
        """The peer has answered our PING."""

    def on_silence(self) -> None:
        """The peer is not there any more."""
        raise NotImplementedError

    def on_violation(self, violation: ProtocolViolation) -> None:
        """The connection has ended by it; what explains it stands in `out`."""
        raise NotImplementedError

    def touch(self) -> None:
        """The first bytes since the last flush stand in `out`."""

    # ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Our SETTINGS, which come first, and the connection's window, which they do not tell."""
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

    def judge_unsent(self) -> None:
        """The peer has not taken all that was written: too many frames of it end the connection."""
        if self.floods.overflow and not self.ended:
            self._violated(ProtocolViolation(ENHANCE_YOUR_CALM, self.floods.overflow))

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

    def send_reset(self, number: int, code: int) -> None:
        if len(self._resets) >= _MOST_RESETS:
            del self._resets[next(iter(self._resets))]
        self._resets[number] = None
        self.on_own_reset()
        self._control(rst_stream(number, code))

    def send_window_update(self, number: int, increment: int) -> None:
        self.floods.frame()
        self._put(window_update(number, increment))

    def give_credit(self, size: int) -> None:
        """The connection's window gets `size` bytes back, some time soon."""
        self._credit += size
        if self._credit >= self.options.initial_connection_window_size >> 1:
            credit, self._credit = self._credit, 0
            self.receive_window += credit
            self.send_window_update(0, credit)

    def send_ping(self, data: bytes) -> None:
        self.floods.frame()
        self._put(ping(data, ack=False))

    def send_goaway(self, last_stream: int, code: int, debug: bytes = b"") -> None:
        self.floods.frame()
        self._put(goaway(last_stream, code, debug))

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

    # ── receiving ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, data: bytes) -> None:
        """Takes in what came. A violation that ends the connection ends the reading."""
        if self.ended:
            return
        self._reading = True
        try:
            self._receive(data)
            if self._unwanted:
                self._end_unwanted()
            if self.floods.unanswerable:
                raise ProtocolViolation(ENHANCE_YOUR_CALM, self.floods.overflow)
        except ProtocolViolation as violation:
            self._violated(violation)
        finally:
            self._reading = False

    def _violated(self, violation: ProtocolViolation) -> None:
        self.ended = True
        self._buffer = b""
        self._put(goaway(self.last_peer_stream, violation.code, violation.detail.encode()))
        self.on_violation(violation)

    def _receive(self, data: bytes) -> None:
        at = 0
        if self._data_left:
            at = self._more_data(data, 0)
        elif self._buffer:
            data = self._buffer + data
            self._buffer = b""
        size = len(data)
        while size - at >= HEAD_SIZE and not self.ended and not self.floods.unanswerable:
            high, low, kind, flags, number = _head(data, at)
            length: int = high << 8 | low
            number &= STREAM_MASK
            if length > DEFAULT_FRAME_SIZE:
                raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.too_large_frame")
            start = at + HEAD_SIZE
            if kind == DATA and not self._block_stream and self._settled and not flags & PADDED:
                at = self._on_data(data, start, length, flags, number)
                continue
            end = start + length
            if end > size:
                if self._block_stream and kind != CONTINUATION:
                    raise ProtocolViolation(PROTOCOL_ERROR, "http2.unexpected_frame")
                break
            at = end
            self._on_frame(kind, flags, number, data[start:end])
        if at < size and not self.ended:
            self._buffer = data[at:] if at else data

    def _on_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if not self._settled and (kind != SETTINGS or flags & ACK):
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.settings_expected")
        if self._block_stream and (kind != CONTINUATION or number != self._block_stream):
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.unexpected_frame")
        try:
            if kind == HEADERS:
                self._on_headers(flags, number, payload)
            elif kind == WINDOW_UPDATE:
                self._on_window_update(number, payload)
            elif kind == DATA:
                self._on_padded_data(flags, number, payload)
            elif kind == CONTINUATION:
                self._on_continuation(flags, number, payload)
            elif kind == RST_STREAM:
                self._on_rst_stream(number, payload)
            elif kind == PING:
                self._on_ping(flags, number, payload)
            elif kind == SETTINGS:
                self._on_settings(flags, number, payload)
            elif kind == GOAWAY:
                self._on_goaway(number, payload)
            elif kind == PRIORITY:
                self._on_priority(number, payload)
            elif kind == PUSH_PROMISE:
                raise ProtocolViolation(PROTOCOL_ERROR, "http2.push_promise")  # we have none, and allow none
        except StreamViolation as violation:
            self._end_stream(violation)

    def _end_stream(self, violation: StreamViolation) -> None:
        stream = violation.stream
        if not stream.closed:
            stream.abort(violation.code)
            stream.on_reset(violation.code, violation.detail)

    # ── header blocks ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number:
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.stream_zero")
        if flags & PADDED:
            payload = _without_padding(payload)
        if flags & PRIORITIZED:
            if len(payload) < 5:
                raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
            payload = payload[5:]
        if not payload or self.floods.empty:
            self.floods.payload(len(payload), bool(flags & END_STREAM))
        if flags & END_HEADERS:
            self._on_block(number, payload, bool(flags & END_STREAM))
            return
        self._block = [payload]
        self._block_size = len(payload)
        self._block_stream = number
        self._block_ends = bool(flags & END_STREAM)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if not self._block_stream:
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.unexpected_continuation")
        self.floods.payload(len(payload), False)
        self._block.append(payload)
        self._block_size += len(payload)
        if self._block_size > self._max_block:
            raise ProtocolViolation(ENHANCE_YOUR_CALM, "http2.headers_too_large")
        if flags & END_HEADERS:
            block, self._block = b"".join(self._block), []
            self._block_stream = 0
            self._on_block(number, block, self._block_ends)

    def _on_block(self, number: int, block: bytes, end: bool) -> None:
        try:
            fields = self.decoder.decode(block)
        except HpackError as error:
            self.last_peer_stream = max(self.last_peer_stream, number if self.server else 0)
            raise ProtocolViolation(COMPRESSION_ERROR, "http2.header_compression_error") from error
        stream = self.streams.get(number)
        if stream is not None and not self.awaits_head(stream):
            self._on_trailers(stream, fields, end)
        else:
            self.on_head(number, fields, end)

    def _on_trailers(self, stream: H2Stream, fields: list[Field], end: bool) -> None:
        if stream.remote_done:
            raise StreamViolation(stream, STREAM_CLOSED, "http2.stream_closed")
        try:
            if not end:
                raise h2_heads.MalformedError(h2_heads.INVALID_MESSAGE)
            trailers = h2_heads.trailers(fields)
            if stream.body_left > 0:
                raise h2_heads.MalformedError(h2_heads.INVALID_MESSAGE)
        except h2_heads.MalformedError as error:
            raise self.malformed(stream, str(error)) from error
        stream.remote_end()
        stream.on_trailers(trailers)

    def malformed(self, stream: H2Stream, detail: str) -> Exception:
        """What a message that is none (§8.1.1) ends: its stream where configuration has it so, else the connection."""
        stream.violated = True
        if self.options.stream_error_on_invalid_http_message:
            return StreamViolation(stream, PROTOCOL_ERROR, detail)
        return ProtocolViolation(PROTOCOL_ERROR, detail)

    def is_known(self, number: int) -> bool:
        """Whether a stream with this number was ever begun."""
        raise NotImplementedError

    def was_reset(self, number: int) -> bool:
        return number in self._resets

    # ── data ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _on_data(self, data: bytes, at: int, length: int, flags: int, number: int) -> int:
        """A DATA frame without padding, perhaps only its beginning; where the reading goes on."""
        ends = bool(flags & END_STREAM)
        self._data = self._begin_data(number, length, length, ends)
        self._data_left = length
        self._data_ends = ends
        return self._more_data(data, at)

    def _on_padded_data(self, flags: int, number: int, payload: bytes) -> None:
        length = len(payload)
        if flags & PADDED:
            payload = _without_padding(payload)
        self._data = self._begin_data(number, length, len(payload), bool(flags & END_STREAM))
        self._data_left = len(payload)
        self._data_ends = bool(flags & END_STREAM)
        padding = length - len(payload)
        if padding and self._data is not None:
            self.give_credit(self._data.took(padding))
        self._more_data(payload, 0)

    def _begin_data(self, number: int, length: int, size: int, ends: bool) -> H2Stream | None:
        """Whose data it is, None when nobody's any more; `size` bytes of the frame's `length` are the body's."""
        self.receive_window -= length
        if self.receive_window < 0:
            raise ProtocolViolation(FLOW_CONTROL_ERROR, "http2.flow_control_error")
        if not size or self.floods.empty:
            self.floods.payload(size, ends)
        stream = self.streams.get(number)
        if stream is None:
            if not number or not self.is_known(number):
                raise ProtocolViolation(PROTOCOL_ERROR, "http2.data_on_idle_stream")
            self.give_credit(length)
            return None
        try:
            self._check_data(stream, length, size, ends)
        except StreamViolation as violation:
            self.give_credit(length)
            self._end_stream(violation)
            return None
        return stream

    def _check_data(self, stream: H2Stream, length: int, size: int, ends: bool) -> None:
        if stream.remote_done:
            raise StreamViolation(stream, STREAM_CLOSED, "http2.stream_closed")
        if self.awaits_head(stream):
            raise self.malformed(stream, h2_heads.INVALID_MESSAGE)
        stream.receive_window -= length
        if stream.receive_window < 0:
            raise StreamViolation(stream, FLOW_CONTROL_ERROR, "http2.flow_control_error")
        left = stream.body_left
        if left >= 0:
            left -= size
            if left < 0 or (ends and left):  # this ends the stream in Envoy, too, whatever is configured
                stream.violated = True
                raise StreamViolation(stream, PROTOCOL_ERROR, h2_heads.INVALID_MESSAGE)
            stream.body_left = left

    def _more_data(self, data: bytes, at: int) -> int:
        """Passes on what is there of the frame in progress."""
        left = self._data_left
        size = len(data) - at
        if size < left:
            piece = data[at:] if at else data
            self._data_left = left - size
            end = False
            at += size
        else:
            piece = data[at : at + left]
            self._data_left = 0
            end = self._data_ends
            at += left
        stream = self._data
        if end or not self._data_left:
            self._data = None
        if stream is None or stream.closed:
            if piece and stream is not None:
                self.give_credit(len(piece))
            return at
        if end:
            stream.remote_end()
        if piece or end:
            stream.on_body(piece, end)
        if piece:
            self.give_credit(stream.took(len(piece)) if not stream.closed else len(piece))
        return at

    # ── everything else ───────────────────────────────────────────────────────────────────────────────────────────────

    def _on_window_update(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
        self.floods.window_update()
        increment = _word(payload)[0] & LARGEST_WINDOW
        if not number:
            if not increment:
                raise ProtocolViolation(PROTOCOL_ERROR, "http2.window_update_zero")
            self.send_window += increment
            if self.send_window > LARGEST_WINDOW:
                raise ProtocolViolation(FLOW_CONTROL_ERROR, "http2.flow_control_error")
            if self._queue:
                self.drain()
            return
        stream = self.streams.get(number)
        if stream is None:
            if not self.is_known(number):
                raise ProtocolViolation(PROTOCOL_ERROR, "http2.window_update_on_idle_stream")
            return
        if not increment:
            raise StreamViolation(stream, PROTOCOL_ERROR, "http2.window_update_zero")
        stream.add_window(increment)
        if stream.waiting:
            self.pump(stream)

    def _on_rst_stream(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
        if not number or not self.is_known(number):
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.rst_stream_on_idle_stream")
        self.on_peer_reset()
        stream = self.streams.get(number)
        if stream is not None:
            stream.end_by_peer()
            stream.on_reset(_word(payload)[0], "")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.stream_not_zero")
        if len(payload) != 8:
            raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
        if flags & ACK:
            self.on_pong(payload)
        else:
            self._control(ping(payload, ack=True))

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.stream_not_zero")
        if flags & ACK:
            if payload:
                raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
            if self._acknowledged:
                raise ProtocolViolation(PROTOCOL_ERROR, "http2.unexpected_settings_ack")
            self._acknowledged = True
            self.decoder.set_limit(self.options.hpack_table_size)
            return
        self._settled = True
        before = self.peer_window
        self.peer.read(payload, from_server=not self.server)
        self.peer_frame_size = self.peer.max_frame_size
        self.peer_window = self.peer.initial_window_size
        self.encoder.set_limit(self.peer.smallest_table_size)
        self.encoder.set_limit(self.peer.header_table_size)
        self._control(SETTINGS_ACK)
        if before != self.peer_window:
            self._shift_windows(self.peer_window - before)
        self.on_settings()

    def _shift_windows(self, difference: int) -> None:
        """The peer has changed what a stream begins with: it counts for those that are open, too (§6.9.2)."""
        for stream in list(self.streams.values()):
            stream.send_window += difference
            if stream.send_window > LARGEST_WINDOW:
                raise ProtocolViolation(FLOW_CONTROL_ERROR, "http2.flow_control_error")
            if difference > 0 and stream.waiting:
                self.pump(stream)

    def _on_goaway(self, number: int, payload: bytes) -> None:
        if number:
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.stream_not_zero")
        if len(payload) < 8:
            raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
        last, code = _two_words(payload)
        last &= STREAM_MASK
        self.peer_goaway_code = code
        self.peer_goaway = last if self.peer_goaway < 0 else min(last, self.peer_goaway)
        self.on_goaway(self.peer_goaway, code)

    def _on_priority(self, number: int, payload: bytes) -> None:
        """Priorities are from an older edition (§5.3.2): counted, not heeded."""
        if not number:
            raise ProtocolViolation(PROTOCOL_ERROR, "http2.stream_zero")
        if len(payload) != 5:
            raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
        self.floods.priority()

    def end_streams(self, detail: str) -> None:
        """The connection is gone: so are its streams."""
        self.ended = True
        for stream in list(self.streams.values()):
            stream.end_by_peer()
            stream.on_lost(detail)


def _without_padding(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ProtocolViolation(PROTOCOL_ERROR, "http2.padding_too_long")
    return payload[1 : len(payload) - payload[0]]
