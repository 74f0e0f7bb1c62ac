"""typed_extension_protocol_options → how a cluster speaks HTTP to its hosts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from sidecar.config.hcm import header_spelling, http1_only
from sidecar.config.reader import Reader

_OPTIONS: Final = HttpProtocolOptions.DESCRIPTOR.full_name
IDLE_TIMEOUT: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Upstream:
    http2: bool = False
    idle_timeout: float = IDLE_TIMEOUT
    max_requests: int = 0
    max_duration: float = 0.0  # of a connection
    max_stream_duration: float = 0.0
    max_headers: int = 100
    max_head: int = 80 * 1024
    enable_trailers: bool = False
    header_spelling: str = ""
    ping_interval: float = 0.0
    ping_timeout: float = 0.0


def upstream_http(cluster: Reader) -> Upstream:
    """The HTTP options of a cluster, of which the deprecated ones count unless there are new ones."""
    upstream = _http1(_common(Upstream(), cluster), cluster)
    if (old := cluster.child("http2_protocol_options")) is not None:
        upstream = _http2(upstream, old)
    for name, entry in cluster.entries("typed_extension_protocol_options"):
        kind, options = entry.opened()
        if name != _OPTIONS or kind != _OPTIONS or options is None:
            entry.problem(f"{kind or name} is not implemented, only {_OPTIONS} is")
            continue
        upstream = _options(Upstream(http2=upstream.http2), options)
    return upstream


def _options(upstream: Upstream, reader: Reader) -> Upstream:
    upstream = _common(upstream, reader)
    if not reader.one_of("explicit_http_config", "use_downstream_protocol_config", "auto_config"):
        reader.problem("needs one of explicit_http_config, use_downstream_protocol_config", "upstream_protocol_options")
    if (explicit := reader.child("explicit_http_config")) is not None:
        upstream = _http1(upstream, explicit)
        if (http2 := explicit.child("http2_protocol_options")) is not None:
            upstream = _http2(upstream, http2)
    if (same := reader.child("use_downstream_protocol_config")) is not None:
        # Every downstream speaks HTTP/1.1, so the upstream does; options for HTTP/2 have nothing to act on.
        upstream = _http1(upstream, same)
        if (unused := same.child("http2_protocol_options")) is not None:
            unused.skip()
    return upstream


def _common(upstream: Upstream, parent: Reader) -> Upstream:
    reader = parent.child("common_http_protocol_options")
    if reader is None:
        return upstream
    reader.only("headers_with_underscores_action", "ALLOW")
    return replace(
        upstream,
        idle_timeout=reader.seconds("idle_timeout", IDLE_TIMEOUT),
        max_requests=reader.number("max_requests_per_connection"),
        max_duration=reader.seconds("max_connection_duration"),
        max_stream_duration=reader.seconds("max_stream_duration"),
        max_headers=reader.number("max_headers_count", upstream.max_headers),
        max_head=reader.number("max_response_headers_kb", upstream.max_head // 1024) * 1024,
    )


def _http1(upstream: Upstream, parent: Reader) -> Upstream:
    reader = parent.child("http_protocol_options")
    if reader is None:
        return upstream
    http1_only(reader)
    spelling = header_spelling(reader.child("header_key_format"))
    return replace(upstream, enable_trailers=reader.flag("enable_trailers"), header_spelling=spelling)


def _http2(upstream: Upstream, reader: Reader) -> Upstream:
    """gRPC's own library speaks HTTP/2 and sizes its windows itself; of the options only the pings are taken over."""
    keepalive = reader.child("connection_keepalive")
    reader.skip()
    if keepalive is None:
        return replace(upstream, http2=True)
    interval, timeout = keepalive.seconds("interval"), keepalive.seconds("timeout")
    keepalive.skip()
    return replace(upstream, http2=True, ping_interval=interval, ping_timeout=timeout)
