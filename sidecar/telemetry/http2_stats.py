"""Envoy's statistics of its HTTP/2 codec, of all downstream connections and of each cluster's.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/stats#http-2-codec-statistics
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sidecar.telemetry.cells import Counter, Gauge
from sidecar.telemetry.registry import Group


class Http2Load(NamedTuple):
    """What an HTTP/2 connection has in progress."""

    streams: int
    waiting: int  # bytes of bodies that the peer gives no credit for
    frames: int  # that the peer has not taken yet
    control_frames: int  # … of which answers


class Http2Counted(Protocol):
    """A connection, as its statistics see it."""

    def load(self) -> Http2Load: ...


@dataclass(slots=True, init=False, eq=False)
class Http2Stats(Group):
    """`http2.`: what the codec sees, on all downstream connections. Gauges are added up when somebody reads."""

    prefix = "http2"
    tag = ""

    dropped_headers_with_underscores: Counter
    goaway_sent: Counter
    header_overflow: Counter
    headers_cb_no_stream: Counter
    inbound_empty_frames_flood: Counter
    inbound_priority_frames_flood: Counter
    inbound_window_update_frames_flood: Counter
    keepalive_timeout: Counter
    outbound_control_flood: Counter
    outbound_control_frames_active: Gauge
    outbound_flood: Counter
    outbound_frames_active: Gauge
    pending_send_bytes: Gauge
    requests_rejected_with_underscores_in_headers: Counter
    rx_messaging_error: Counter
    rx_reset: Counter
    stream_refused_errors: Counter
    streams_active: Gauge
    trailers: Counter
    tx_flush_timeout: Counter
    tx_reset: Counter
    connections: dict[Http2Counted, None]  # of all groups of this name

    def share(self, first: Group | None) -> None:
        self.connections = first.connections if isinstance(first, Http2Stats) else {}

    def settle(self) -> None:
        loads = [connection.load() for connection in self.connections]
        self.streams_active.value = sum(load.streams for load in loads)
        self.pending_send_bytes.value = sum(load.waiting for load in loads)
        self.outbound_frames_active.value = sum(load.frames for load in loads)
        self.outbound_control_frames_active.value = sum(load.control_frames for load in loads)

    def violation(self, detail: str) -> None:
        """Counts what ended a connection, if it is one of the floods."""
        if detail == "http2.inbound_empty_frames_flood":
            self.inbound_empty_frames_flood.value += 1
        elif detail == "http2.inbound_priority_frames_flood":
            self.inbound_priority_frames_flood.value += 1
        elif detail == "http2.inbound_window_update_frames_flood":
            self.inbound_window_update_frames_flood.value += 1
        elif detail == "http2.outbound_control_frames_flood":
            self.outbound_control_flood.value += 1
        elif detail == "http2.outbound_frames_flood":
            self.outbound_flood.value += 1


@dataclass(slots=True, init=False, eq=False)
class ClusterHttp2Stats(Http2Stats):
    """`cluster.<name>.http2.`: the same, on the connections to a cluster's hosts, from the first of them on."""

    prefix = "cluster"
    tag = "envoy_cluster_name"
    below = "http2."
