"""The HTTP filters there are, by the type of their configuration.

A filter is one module with `compile(reader)` (its configuration in the chain) and, if routes can override it,
`compile_route(reader)`. Adding one is that file and one line in `FILTERS`; where routes configure a filter with another
type than the chain does, one line in `ROUTE_ONLY` too.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.config.model import HttpFilter
from sidecar.config.reader import Reader

FILTERS: Final[Mapping[str, str]] = {
    "envoy.extensions.filters.http.buffer.v3.Buffer": "sidecar.config.filter_buffer",
    "envoy.extensions.filters.http.compressor.v3.Compressor": "sidecar.config.filter_compressor",
    "envoy.extensions.filters.http.cors.v3.Cors": "sidecar.config.filter_cors",
    "envoy.extensions.filters.http.decompressor.v3.Decompressor": "sidecar.config.filter_decompressor",
    "envoy.extensions.filters.http.fault.v3.HTTPFault": "sidecar.config.filter_fault",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation": "sidecar.config.filter_header_mutation",
    "envoy.extensions.filters.http.health_check.v3.HealthCheck": "sidecar.config.filter_health_check",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit": "sidecar.config.filter_local_ratelimit",
    "envoy.extensions.filters.http.router.v3.Router": "sidecar.config.filter_router",
}
# Types that only routes configure.
ROUTE_ONLY: Final[Mapping[str, str]] = {
    "envoy.extensions.filters.http.buffer.v3.BufferPerRoute": "sidecar.config.filter_buffer",
    "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute": "sidecar.config.filter_compressor",
    "envoy.extensions.filters.http.cors.v3.CorsPolicy": "sidecar.config.filter_cors",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute": "sidecar.config.filter_header_mutation",
}
ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"
FILTER_CONFIG: Final = "envoy.config.route.v3.FilterConfig"

DISABLED: Final = None


@dataclass(frozen=True, slots=True)
class FilterType:
    """How one type of configuration is compiled: in the chain, and on routes; None where it does not belong."""

    compile: Callable[[Reader], Any] | None
    compile_route: Callable[[Reader], Any] | None


@functools.cache
def filter_type(name: str) -> FilterType | None:
    """The filter whose configuration has this type."""
    if name in ROUTE_ONLY:
        return FilterType(None, importlib.import_module(ROUTE_ONLY[name]).compile_route)
    if name not in FILTERS:
        return None
    module = importlib.import_module(FILTERS[name])
    has_own = FILTERS[name] in ROUTE_ONLY.values()
    return FilterType(module.compile, None if has_own else getattr(module, "compile_route", None))


def http_filters(reader: Reader) -> tuple[HttpFilter, ...]:
    """The `http_filters` of a connection manager: known types only, unless optional; the router last and only last."""
    compiled: list[HttpFilter] = []
    kinds: list[str] = []
    readers = reader.children("http_filters")
    for each in readers:
        kind, result = _http_filter(each)
        if result is not None:
            compiled.append(result)
            kinds.append(kind)
    if not readers:
        reader.problem("needs the router filter (envoy.filters.http.router) at the end", "http_filters")
    elif compiled and (kinds[-1] != ROUTER or kinds.count(ROUTER) > 1):
        reader.problem("the router filter must be the last one, and only there", "http_filters")
    elif compiled and compiled[-1].disabled:
        reader.problem("the router filter cannot be disabled", "http_filters")
    return tuple(compiled)


def _http_filter(reader: Reader) -> tuple[str, HttpFilter | None]:
    name = reader.text("name")
    optional, disabled = reader.flag("is_optional"), reader.flag("disabled")
    if reader.has("config_discovery"):
        return "", None
    kind, config = reader.unpacked()
    known = filter_type(kind)
    if known is None or known.compile is None:
        if not optional:
            reader.problem(f"{kind or 'no type'}: there is no such HTTP filter here", "typed_config")
        return kind, None
    if config is None:  # the type is known, so its bytes are bad: reported already
        return kind, None
    return kind, HttpFilter(name, known.compile(config), disabled)


def per_route_filters(reader: Reader) -> Mapping[str, Any]:
    """A `typed_per_filter_config`: compiled by filter name, None where the filter is disabled."""
    compiled: dict[str, Any] = {}
    for name, entry in reader.entries("typed_per_filter_config"):
        kind, config = entry.opened()
        optional = False
        if kind == FILTER_CONFIG and config is not None:
            optional = config.flag("is_optional")
            if config.flag("disabled"):
                compiled[name] = DISABLED
                continue
            kind, config = config.unpacked("config")
        known = filter_type(kind)
        if known is None or known.compile_route is None:
            if not optional:
                entry.problem(f"{kind or 'no type'}: there is no such HTTP filter that routes can configure")
        elif config is not None:
            compiled[name] = known.compile_route(config)
    return compiled
