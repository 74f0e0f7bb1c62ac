"""A connection manager's filters, and their steps on each route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sidecar.config.model import HttpFilter, Route, RouteConfig, VirtualHost
from sidecar.filters import Decision, Encode, FilterContext, ResponseStep, Step, Steps
from sidecar.filters.bodies import as_response_step
from sidecar.filters.registry import make
from sidecar.http.exchange import Exchange

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
        self._filters = [(filter_, make(filter_.config, context)) for filter_ in filters]
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
