"""What a peer says of the connection and of its streams (RFC 9113 §6): SETTINGS, PING, GOAWAY, WINDOW_UPDATE, RST_STREAM.

Each frame is judged by its size and its stream, then acted on; nothing here reads messages.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from sidecar.codec.h2_frames import (
    ACK,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    LARGEST_WINDOW,
    NO_ERROR,
    PROTOCOL_ERROR,
    SETTINGS_ACK,
    STREAM_MASK,
    ProtocolViolation,
    ping,
)
from sidecar.codec.h2_sending import Sending
from sidecar.codec.h2_settings import PeerSettings
from sidecar.codec.h2_stream import StreamViolation
from sidecar.codec.hpack_decoder import Decoder
from sidecar.config.http2_model import Http2

if TYPE_CHECKING:
    from sidecar.telemetry.http2_stats import Http2Stats

_word: Final = Struct(">L").unpack_from
_two_words: Final = Struct(">LL").unpack_from


class Controlled(Sending):
    """An end of a connection that heeds the peer's control frames."""

    def __init__(self, options: Http2, http2_stats: Http2Stats, decoder: Decoder, *, server: bool) -> None:
        super().__init__(options, http2_stats, server=server)
        self.decoder = decoder
        self.peer = PeerSettings()
        self.peer_goaway = -1  # the last stream that the peer will answer, once it says so
        self.peer_goaway_code = NO_ERROR
        self._settled = False  # the peer's first SETTINGS have come
        self._acknowledged = False  # ours are known to the peer

    # ── what subclasses say ───────────────────────────────────────────────────────────────────────────────────────────

    def on_settings(self) -> None:
        """The peer's settings have changed."""

    def on_goaway(self, last_stream: int, code: int) -> None:
        """The peer will not answer streams after `last_stream`."""

    def on_pong(self, data: bytes) -> None:
        """The peer has answered our PING."""

    def on_silence(self) -> None:
        """The peer is not there any more."""
        raise NotImplementedError

    def is_known(self, number: int) -> bool:
        """Whether a stream with this number was ever begun."""
        raise NotImplementedError

    # ── frames ────────────────────────────────────────────────────────────────────────────────────────────────────────

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
        self.http2_stats.rx_reset.value += 1
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
