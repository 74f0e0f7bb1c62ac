"""A connection manager's filters, and their steps on each route. Adding a filter is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sidecar.config.compression_model import Compressor, Decompressor
from sidecar.config.filter_model import BufferBody, CorsFilterConfig, HeaderMutations, HealthCheck, LocalRateLimit
from sidecar.config.model import FaultConfig, HttpFilter, Route, RouteConfig, VirtualHost
from sidecar.filters import Decision, Encode, Filter, FilterContext, ResponseStep, Step, Steps
from sidecar.filters.bodies import as_response_step
from sidecar.filters.buffer import BufferFilter
from sidecar.filters.compressor import CompressorFilter
from sidecar.filters.cors import CorsFilter
from sidecar.filters.decompressor import DecompressorFilter
from sidecar.filters.fault import FaultFilter
from sidecar.filters.header_mutation import HeaderMutationFilter
from sidecar.filters.health_check import HealthCheckFilter
from sidecar.filters.local_ratelimit import LocalRateLimitFilter
from sidecar.http.exchange import Exchange

# By the type of the compiled configuration: a filter's name is the user's to choose. The router has no steps.
_FACTORIES: dict[type, Callable[[Any, FilterContext], Filter]] = {
    BufferBody: BufferFilter,
    Compressor: CompressorFilter,
    CorsFilterConfig: CorsFilter,
    Decompressor: DecompressorFilter,
    FaultConfig: FaultFilter,
    HeaderMutations: HeaderMutationFilter,
    HealthCheck: HealthCheckFilter,
    LocalRateLimit: LocalRateLimitFilter,
}


_ENCODE: Final = Encode()


def _encode(_exchange: Exchange) -> Decision:
    return _ENCODE


class RouteSteps(NamedTuple):
    """What all filters do on one route: `request` and `response` in the order in which they are run."""

    request: tuple[Step, ...]
    response: tuple[ResponseStep, ...]


class FilterChain:
    """The filters in front of the router, in order. `unrouted` are their steps for requests without a route."""

    def __init__(self, filters: Sequence[HttpFilter], context: FilterContext) -> None:
        self._filters = [
            (filter_, _FACTORIES[type(filter_.config)](filter_.config, context))
            for filter_ in filters
            if type(filter_.config) in _FACTORIES
        ]
        self.unrouted = self._bind(None)

    def bind(self, routes: RouteConfig, vhost: VirtualHost, route: Route) -> RouteSteps:
        """The steps of all filters on one route."""
        return self._bind(route, route.filters, vhost.filters, routes.filters)

    def _bind(self, route: Route | None, *levels: Mapping[str, Any]) -> RouteSteps:
        """The most specific level that names a filter says whether it is disabled; naming it otherwise enables it."""
        bound: list[Steps] = []
        for config, filter_ in self._filters:
            named = [level[config.name] for level in levels if config.name in level]
            disabled = named[0] is None if named else config.disabled
            if not disabled:
                bound.append(filter_.bind([override for override in named if override is not None], route))
        request = tuple(step for steps in bound for step in steps.request)
        response = tuple(
            step for steps in reversed(bound) for step in (*steps.response, *map(as_response_step, steps.body))
        )
        return RouteSteps((_encode, *request) if any(steps.body for steps in bound) else request, response)
