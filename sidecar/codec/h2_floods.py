"""Frames that cost their sender nothing and us something, counted: Envoy's limits, by Envoy's names.

https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/protocol.proto#config-core-v3-http2protocoloptions
"""

from __future__ import annotations

from sidecar.codec.h2_frames import ENHANCE_YOUR_CALM, ProtocolViolation
from sidecar.config.http2_model import Http2


class Floods:
    """The counters of one connection. Of frames that came in, one too many raises ProtocolViolation; what goes out is often
    on behalf of another connection, so that `overflow` only says what there is too much of: whoever flushes judges, when the
    peer has not taken it. `unanswerable` is for the session to act on at once: one read has asked for too many answers."""

    __slots__ = (
        "_data_frames",
        "_max_control",
        "_max_empty",
        "_max_outbound",
        "_max_priority",
        "_max_updates",
        "_priority",
        "_updates",
        "control",
        "empty",
        "outbound",
        "overflow",
        "streams",
        "unanswerable",
    )

    def __init__(self, options: Http2) -> None:
        self._max_outbound = options.max_outbound_frames
        self._max_control = options.max_outbound_control_frames
        self._max_empty = options.max_consecutive_inbound_frames_with_empty_payload
        self._max_priority = options.max_inbound_priority_frames_per_stream
        self._max_updates = options.max_inbound_window_update_frames_per_data_frame_sent
        self.streams = 0  # that were ever open
        self.overflow = ""
        self.unanswerable = False
        self.empty = 0  # frames with nothing in them, one after another
        self.outbound = 0  # frames that the peer has not taken yet
        self.control = 0  # … of which answers
        self._priority = 0
        self._updates = 0
        self._data_frames = 0

    def flushed(self) -> None:
        """The peer has taken everything."""
        self.outbound = 0
        self.control = 0
        self.overflow = ""
        self.unanswerable = False

    def frame(self) -> None:
        """A frame goes out."""
        self.outbound += 1
        if self.outbound > self._max_outbound and not self.overflow:
            self.overflow = "http2.outbound_frames_flood"

    def data_frame(self) -> None:
        self._data_frames += 1
        self.frame()

    def control_frame(self) -> None:
        """An answer goes out: to PING, to SETTINGS, or a reset."""
        self.control += 1
        if self.control > self._max_control:
            self.overflow = "http2.outbound_control_frames_flood"
            self.unanswerable = True
        self.frame()

    def payload(self, size: int, ends: bool) -> None:
        """DATA, HEADERS or CONTINUATION came in."""
        if size or ends:
            self.empty = 0
            return
        self.empty += 1
        if self.empty > self._max_empty:
            raise ProtocolViolation(ENHANCE_YOUR_CALM, "http2.inbound_empty_frames_flood")

    def priority(self) -> None:
        self._priority += 1
        if self._priority > self._max_priority * (1 + self.streams):
            raise ProtocolViolation(ENHANCE_YOUR_CALM, "http2.inbound_priority_frames_flood")

    def window_update(self) -> None:
        self._updates += 1
        if self._updates > 5 + 2 * (self.streams + self._max_updates * self._data_frames):
            raise ProtocolViolation(ENHANCE_YOUR_CALM, "http2.inbound_window_update_frames_flood")
