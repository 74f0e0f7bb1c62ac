"""What configuration says of HTTP/2 connections; Envoy's defaults."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Keepalive:
    """PINGs of ours: a connection whose peer does not answer one in time is over. Seconds; without a `timeout` there are
    none, `idle_interval` is the silence that a new stream to a host asks about."""

    interval: float = 0.0
    timeout: float = 0.0
    jitter: float = 0.15  # up to this share of the interval is added to it each time
    idle_interval: float = 0.0


@dataclass(frozen=True, slots=True)
class Http2:
    """`http2_protocol_options`, field by field."""

    hpack_table_size: int = 4096
    max_concurrent_streams: int = 1024
    initial_stream_window_size: int = 16 * 1024 * 1024
    initial_connection_window_size: int = 24 * 1024 * 1024
    allow_connect: bool = False
    max_outbound_frames: int = 10000
    max_outbound_control_frames: int = 1000
    max_consecutive_inbound_frames_with_empty_payload: int = 1
    max_inbound_priority_frames_per_stream: int = 100
    max_inbound_window_update_frames_per_data_frame_sent: int = 10
    stream_error_on_invalid_http_message: bool = False
    custom_settings: tuple[tuple[int, int], ...] = ()
    keepalive: Keepalive = field(default_factory=Keepalive)
