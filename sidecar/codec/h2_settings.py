"""SETTINGS (RFC 9113 §6.5): what we say, and what the peer has said."""

from __future__ import annotations

from struct import Struct
from typing import Final

from sidecar.codec.h2_frames import (
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    LARGEST_FRAME_SIZE,
    LARGEST_WINDOW,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    PROTOCOL_ERROR,
    ProtocolViolation,
)
from sidecar.codec.hpack_table import DEFAULT_TABLE_SIZE
from sidecar.config.http2_model import Http2

_settings: Final = Struct(">HL").iter_unpack
UNLIMITED: Final = (1 << 32) - 1


def own_settings(options: Http2, *, server: bool) -> list[tuple[int, int]]:
    """In Envoy's order."""
    made = [(HEADER_TABLE_SIZE, options.hpack_table_size)]
    if server:
        made.append((ENABLE_CONNECT_PROTOCOL, int(options.allow_connect)))
    else:
        made.append((ENABLE_PUSH, 0))
    made.append((MAX_CONCURRENT_STREAMS, options.max_concurrent_streams))
    made.append((INITIAL_WINDOW_SIZE, options.initial_stream_window_size))
    return made + list(options.custom_settings)


class PeerSettings:
    """The peer's, the defaults until it has said otherwise."""

    __slots__ = (
        "connect_protocol",
        "header_table_size",
        "initial_window_size",
        "max_concurrent_streams",
        "max_frame_size",
        "max_header_list_size",
        "smallest_table_size",
    )

    def __init__(self) -> None:
        self.header_table_size = DEFAULT_TABLE_SIZE
        self.smallest_table_size = DEFAULT_TABLE_SIZE  # that the last frame named
        self.max_concurrent_streams = UNLIMITED
        self.initial_window_size = DEFAULT_WINDOW
        self.max_frame_size = DEFAULT_FRAME_SIZE
        self.max_header_list_size = UNLIMITED
        self.connect_protocol = False

    def read(self, payload: bytes, *, from_server: bool) -> None:
        """Raises ProtocolViolation."""
        if len(payload) % 6:
            raise ProtocolViolation(FRAME_SIZE_ERROR, "http2.frame_size_error")
        self.smallest_table_size = self.header_table_size
        for name, value in _settings(payload):
            if name == HEADER_TABLE_SIZE:
                self.header_table_size = value
                self.smallest_table_size = min(value, self.smallest_table_size)
            elif name == ENABLE_PUSH:
                if value > 1 or (value and from_server):
                    raise ProtocolViolation(PROTOCOL_ERROR, "http2.invalid_setting")
            elif name == MAX_CONCURRENT_STREAMS:
                self.max_concurrent_streams = value
            elif name == INITIAL_WINDOW_SIZE:
                if value > LARGEST_WINDOW:
                    raise ProtocolViolation(FLOW_CONTROL_ERROR, "http2.invalid_setting")
                self.initial_window_size = value
            elif name == MAX_FRAME_SIZE:
                if not DEFAULT_FRAME_SIZE <= value <= LARGEST_FRAME_SIZE:
                    raise ProtocolViolation(PROTOCOL_ERROR, "http2.invalid_setting")
                self.max_frame_size = value
            elif name == MAX_HEADER_LIST_SIZE:
                self.max_header_list_size = value
            elif name == ENABLE_CONNECT_PROTOCOL:
                if value > 1:
                    raise ProtocolViolation(PROTOCOL_ERROR, "http2.invalid_setting")
                self.connect_protocol = bool(value)
