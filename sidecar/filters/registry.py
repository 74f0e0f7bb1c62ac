"""The HTTP filters there are. Adding one is its file and one line here."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any, Final

from sidecar.filters import Filter, FilterContext, FilterType

# By the type of their configuration in the chain; a filter's name is the user's to choose.
FILTERS: Final[Mapping[str, str]] = {
    "envoy.extensions.filters.http.buffer.v3.Buffer": "sidecar.filters.buffer",
    "envoy.extensions.filters.http.compressor.v3.Compressor": "sidecar.filters.compressor",
    "envoy.extensions.filters.http.cors.v3.Cors": "sidecar.filters.cors",
    "envoy.extensions.filters.http.decompressor.v3.Decompressor": "sidecar.filters.decompressor",
    "envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig": "sidecar.filters.dynamic_forward_proxy",
    "envoy.extensions.filters.http.fault.v3.HTTPFault": "sidecar.filters.fault",
    "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb": "sidecar.filters.grpc_web",
    "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation": "sidecar.filters.header_mutation",
    "envoy.extensions.filters.http.health_check.v3.HealthCheck": "sidecar.filters.health_check",
    "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit": "sidecar.filters.local_ratelimit",
    "envoy.extensions.filters.http.router.v3.Router": "sidecar.filters.router",
}


def filter_type(name: str) -> FilterType | None:
    """The filter whose configuration in the chain has this type."""
    return _load(FILTERS[name]) if name in FILTERS else None


def route_filter_type(name: str) -> FilterType | None:
    """The filter whose configuration on routes has this type."""
    found = _by_route_type().get(name)
    return found if found is not None and found.compile_route is not None else None


def make(config: Any, context: FilterContext) -> Filter:
    """The filter for a compiled configuration. Raises LookupError for one that no filter has made."""
    for module in FILTERS.values():
        kind = _load(module)
        if kind.config is type(config):
            return kind.make(config, context)
    raise LookupError(f"no HTTP filter is configured by a {type(config).__name__}")


def _load(module: str) -> FilterType:
    found: FilterType = importlib.import_module(module).FILTER
    return found


@functools.cache
def _by_route_type() -> Mapping[str, FilterType]:
    types = {name: _load(module) for name, module in FILTERS.items()}
    return {kind.route_type or name: kind for name, kind in types.items()}
