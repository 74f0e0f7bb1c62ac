"""A connection manager's filters, and their steps on each route. Adding a filter is one file and one line here."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from sidecar.config.model import FaultConfig, HttpFilter, Route, RouteConfig, VirtualHost
from sidecar.filters import Filter, Step
from sidecar.filters.fault import FaultFilter
from sidecar.telemetry.stats import HttpStats

# By the type of the compiled configuration: a filter's name is the user's to choose. The router has no steps.
_FACTORIES: dict[type, Callable[[Any, HttpStats, random.Random], Filter]] = {
    FaultConfig: FaultFilter,
}


class FilterChain:
    """The filters in front of the router, in order."""

    def __init__(self, filters: Sequence[HttpFilter], stats: HttpStats, rng: random.Random) -> None:
        self._filters = [
            (filter_, _FACTORIES[type(filter_.config)](filter_.config, stats, rng))
            for filter_ in filters
            if type(filter_.config) in _FACTORIES
        ]

    def bind(self, routes: RouteConfig, vhost: VirtualHost, route: Route) -> tuple[Step, ...]:
        """The steps of all filters on one route; the most specific override counts, and an override enables a filter."""
        steps: list[Step] = []
        for config, filter_ in self._filters:
            override = None
            for level in (route.filters, vhost.filters, routes.filters):
                if config.name in level:
                    override = level[config.name]
                    if override is None:
                        break
                    steps += filter_.bind(override)
                    break
            else:
                if not config.disabled:
                    steps += filter_.bind(None)
        return tuple(steps)
