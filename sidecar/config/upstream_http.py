"""typed_extension_protocol_options → how a cluster speaks HTTP to its hosts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from sidecar.config.basic_model import StringMatch
from sidecar.config.hcm import header_spelling, http1_only
from sidecar.config.http2 import http2_options
from sidecar.config.http2_model import Http2
from sidecar.config.match import header_matcher
from sidecar.config.reader import Reader

_OPTIONS: Final = HttpProtocolOptions.DESCRIPTOR.full_name
IDLE_TIMEOUT: Final = 3600.0
_ALL_STATUSES: Final = frozenset(range(100, 600))
_PREDICATES: Final = ("or_match", "and_match", "not_match", "any_match", "http_response_headers_match")


@dataclass(frozen=True, slots=True)
class Upstream:
    http2: Http2 | None = None
    as_downstream: bool = False
    idle_timeout: float = IDLE_TIMEOUT
    max_requests: int = 0
    max_duration: float = 0.0  # of a connection
    max_stream_duration: float = 0.0
    max_headers: int = 100
    max_head: int = 0
    enable_trailers: bool = False
    header_spelling: str = ""
    error_statuses: frozenset[int] | None = None  # those that count as errors to outlier detection


def upstream_http(cluster: Reader) -> Upstream:
    """The HTTP options of a cluster, of which the deprecated ones count unless there are new ones."""
    upstream = _http1(_common(Upstream(), cluster), cluster)
    if (old := cluster.child("http2_protocol_options")) is not None:
        upstream = replace(upstream, http2=http2_options(old))
    if cluster.enum("protocol_selection") == "USE_DOWNSTREAM_PROTOCOL":
        upstream = replace(upstream, as_downstream=True, http2=upstream.http2 or http2_options(None))
    for name, entry in cluster.entries("typed_extension_protocol_options"):
        kind, options = entry.opened()
        if name != _OPTIONS or kind != _OPTIONS or options is None:
            entry.problem(f"{kind or name} is not implemented, only {_OPTIONS} is")
            continue
        upstream = _options(Upstream(), options)
    return upstream


def _options(upstream: Upstream, reader: Reader) -> Upstream:
    upstream = _common(upstream, reader)
    if not reader.one_of("explicit_http_config", "use_downstream_protocol_config", "auto_config"):
        reader.problem("needs one of explicit_http_config, use_downstream_protocol_config", "upstream_protocol_options")
    if (explicit := reader.child("explicit_http_config")) is not None:
        upstream = _http1(upstream, explicit)
        if (http2 := explicit.child("http2_protocol_options")) is not None:
            upstream = replace(upstream, http2=http2_options(http2))
    if (same := reader.child("use_downstream_protocol_config")) is not None:
        upstream = replace(
            _http1(upstream, same), as_downstream=True, http2=http2_options(same.child("http2_protocol_options"))
        )
    if (outlier := reader.child("outlier_detection")) is not None and (matcher := outlier.child("error_matcher")):
        upstream = replace(upstream, error_statuses=_statuses(matcher))
    reader.refuse("auto_config", "needs ALPN, which plain text has not: use explicit_http_config")
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
        max_head=reader.number("max_response_headers_kb") * 1024,
    )


def _http1(upstream: Upstream, parent: Reader) -> Upstream:
    reader = parent.child("http_protocol_options")
    if reader is None:
        return upstream
    http1_only(reader)
    spelling = header_spelling(reader.child("header_key_format"))
    return replace(upstream, enable_trailers=reader.flag("enable_trailers"), header_spelling=spelling)


def _statuses(predicate: Reader) -> frozenset[int]:
    """The statuses that a predicate on responses is true for. Only those that look at nothing else are implemented."""
    kind = predicate.one_of(*_PREDICATES)
    if kind == "any_match":
        predicate.flag(kind)
        return _ALL_STATUSES
    child = predicate.child(kind) if kind else None
    if child is None:
        predicate.problem(f"needs one of {', '.join(_PREDICATES)}")
        return frozenset()
    if kind == "not_match":
        return _ALL_STATUSES - _statuses(child)
    if kind == "http_response_headers_match":
        return frozenset.intersection(_ALL_STATUSES, *map(_of_header, child.children("headers")))
    inner = [_statuses(each) for each in child.children("rules")]
    return frozenset[int]().union(*inner) if kind == "or_match" else frozenset.intersection(_ALL_STATUSES, *inner)


def _of_header(reader: Reader) -> frozenset[int]:
    match = header_matcher(reader)
    exact = match.match.value if match.match is not None and match.match.kind is StringMatch.EXACT else ""
    if match.name != b":status" or not (exact or match.value_range):
        reader.problem("is not implemented for anything but :status, by an exact value or a range")
        return frozenset()
    start, end = match.value_range or (0, 0)
    found = frozenset(s for s in _ALL_STATUSES if str(s) == exact or start <= s < end)
    return _ALL_STATUSES - found if match.invert else found
