"""envoy.filters.http.local_ratelimit: one token bucket a configuration; no descriptors."""

from __future__ import annotations

from typing import Final

from sidecar.config.common import headers_to_add
from sidecar.config.filter_model import LocalRateLimit
from sidecar.config.match import runtime_fraction
from sidecar.config.reader import Reader

_TOO_MANY: Final = 429
_SHORTEST_FILL: Final = 0.05


def compile(reader: Reader) -> LocalRateLimit:
    max_tokens, rate = _bucket(reader.child("token_bucket"))
    return LocalRateLimit(
        stat_prefix=reader.text("stat_prefix"),
        max_tokens=max_tokens,
        tokens_per_second=rate,
        enabled=runtime_fraction(reader, "filter_enabled", 0),
        enforced=runtime_fraction(reader, "filter_enforced", 0),
        status=_status(reader.child("status")),
        request_ops=headers_to_add(reader, "request_headers_to_add_when_not_enforced"),
        response_ops=headers_to_add(reader, "response_headers_to_add"),
        tells_limits=reader.enum("enable_x_ratelimit_headers") == "DRAFT_VERSION_03",
        per_connection=reader.flag("local_rate_limit_per_downstream_connection"),
        resource_exhausted=reader.flag("rate_limited_as_resource_exhausted"),
    )


compile_route = compile


def _bucket(reader: Reader | None) -> tuple[int, float]:
    """The bucket's size and tokens a second."""
    if reader is None:
        return 0, 0.0
    interval = reader.seconds("fill_interval")
    if interval < _SHORTEST_FILL:
        reader.problem(f"must be at least {_SHORTEST_FILL:g}s", "fill_interval")
        interval = _SHORTEST_FILL
    return reader.number("max_tokens"), reader.number("tokens_per_fill", 1) / interval


def _status(reader: Reader | None) -> int:
    """A status that is no error counts as none."""
    code = reader.enum_number("code") if reader is not None else 0
    return code if code >= 400 else _TOO_MANY
