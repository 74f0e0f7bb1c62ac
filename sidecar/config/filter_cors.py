"""envoy.filters.http.cors: an empty filter in the chain, policies on the routes."""

from __future__ import annotations

from sidecar.config.common import string_matcher
from sidecar.config.filter_model import CorsFilterConfig, CorsPolicy
from sidecar.config.match import runtime_fraction
from sidecar.config.model import MILLION
from sidecar.config.reader import Reader


def compile(_reader: Reader) -> CorsFilterConfig:
    return CorsFilterConfig()


def compile_route(reader: Reader) -> CorsPolicy:
    return CorsPolicy(
        origins=tuple(string_matcher(each) for each in reader.children("allow_origin_string_match")),
        methods=reader.text("allow_methods").encode(),
        headers=reader.text("allow_headers").encode(),
        expose=reader.text("expose_headers").encode(),
        max_age=reader.text("max_age").encode(),
        credentials=_optional(reader, "allow_credentials"),
        private_network=_optional(reader, "allow_private_network_access"),
        forward_unmatched=_optional(reader, "forward_not_matching_preflights"),
        enabled=runtime_fraction(reader, "filter_enabled", MILLION),
        shadow=runtime_fraction(reader, "shadow_enabled", 0),
    )


def _optional(reader: Reader, field: str) -> bool | None:
    return reader.flag(field) if reader.has(field) else None
