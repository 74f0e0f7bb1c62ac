"""One HTTP/2 connection without its socket (RFC 9113): bytes in, calls and bytes out.

`receive` takes what came and finds its frames; those of messages (HEADERS, CONTINUATION, DATA) are put together here. What
there is to send collects in `out` until somebody flushes it. Subclasses say what a new stream, a head, trailers and the
end of the connection mean to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.codec import h2_heads
from sidecar.codec.h2_control import Controlled
from sidecar.codec.h2_frames import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_SIZE,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEAD_SIZE,
    HEADERS,
    PADDED,
    PING,
    PRIORITIZED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    STREAM_MASK,
    WINDOW_UPDATE,
    ProtocolViolation,
)
from sidecar.codec.h2_stream import H2Stream, StreamViolation
from sidecar.codec.hpack_decoder import Decoder, Field
from sidecar.codec.hpack_table import HpackError
from sidecar.config.http2_model import Http2

if TYPE_CHECKING:
    from sidecar.telemetry.http2_stats import Http2Stats


class Session(Controlled):
    """What both ends have in common. `server` says which one this is."""

    def __init__(
        self, options: Http2, http2_stats: Http2Stats, static: list[Field], *, server: bool, max_head: int
    ) -> None:
        judge = h2_heads.request_kind if server else h2_heads.response_kind
        decoder = Decoder(static, judge, max_list=max_head, max_table=options.hpack_table_size)
        super().__init__(options, http2_stats, decoder, server=server)
        self._max_block = 2 * max_head  # what its fields may be encoded in
        self._buffer = b""
        self._data: H2Stream | None = None  # whose DATA frame is coming in pieces
        self._data_left = 0
        self._data_ends = False
        self._block: list[bytes] = []  # a header block that comes in pieces
        self._block_size = 0
        self._block_stream = 0
        self._block_ends = False

    # ── what subclasses say ───────────────────────────────────────────────────────────────────────────────────────────

    def on_head(self, number: int, fields: list[Field], end: bool) -> None:
        """A block that begins a message: on a stream that is not open yet (server), or that waits for it (client)."""
        raise NotImplementedError

    def awaits_head(self, stream: H2Stream) -> bool:
        """Whether the next block on an open stream is a head; else it is trailers."""
        raise NotImplementedError

    # ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────

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

    def _receive(self, data: bytes) -> None:
        at = 0
        if self._data_left:
            at = self._more_data(data, 0)
        elif self._buffer:
            data = self._buffer + data
            self._buffer = b""
        size = len(data)
        while size - at >= HEAD_SIZE and not self.ended and not self.floods.unanswerable:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            kind, flags = data[at + 3], data[at + 4]
            number = (data[at + 5] << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]) & STREAM_MASK
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

    def end_streams(self, detail: str) -> None:
        """The connection is gone: so are its streams."""
        self.ended = True
        self.http2_stats.connections.pop(self, None)
        for stream in list(self.streams.values()):
            stream.end_by_peer()
            stream.on_lost(detail)

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
        if self.server:
            self.http2_stats.trailers.value += 1
        stream.remote_end()
        stream.on_trailers(trailers)

    def malformed(self, stream: H2Stream, detail: str) -> Exception:
        """What a message that is none (§8.1.1) ends: its stream where configuration has it so, else the connection."""
        stream.violated = True
        self.http2_stats.rx_messaging_error.value += 1
        if self.options.stream_error_on_invalid_http_message:
            return StreamViolation(stream, PROTOCOL_ERROR, detail)
        return ProtocolViolation(PROTOCOL_ERROR, detail)

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


def _without_padding(payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ProtocolViolation(PROTOCOL_ERROR, "http2.padding_too_long")
    return payload[1 : len(payload) - payload[0]]
