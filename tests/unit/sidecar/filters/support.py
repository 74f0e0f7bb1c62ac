"""A filter without a connection manager: requests in, decisions and response headers out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from sidecar.config.model import Forward, PathMatch, Route, RouteMatch, WeightedCluster
from sidecar.filters import Decision, Filter, FilterContext, Steps
from sidecar.http.exchange import Exchange
from sidecar.http.headers import Header, Headers
from sidecar.telemetry.stats import HttpStats, Stats

ROUTE = Route(RouteMatch(PathMatch.PREFIX, "/"), Forward((WeightedCluster("up", 1),)))


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Bench:
    """What filters are made with, and one filter bound to a route."""

    registry: Stats = field(default_factory=Stats)
    clock: Clock = field(default_factory=Clock)
    clusters: dict[str, Any] = field(default_factory=dict)

    def context(self, seed: int = 1) -> FilterContext:
        return FilterContext(
            HttpStats(self.registry, "test"), self.registry, random.Random(seed), self.clusters, self.clock, "me"
        )

    def steps(
        self, make: Callable[[Any, FilterContext], Filter], config: Any, *overrides: Any, route: Route | None = ROUTE
    ) -> Steps:
        return make(config, self.context()).bind(overrides, route)

    def count(self, name: str) -> int:
        """The value of a counter, 0 when it is not there."""
        values = [stat.cell for part in self.registry.parts() for stat in part if stat.name == name]
        return int(values[0].value) if values else 0  # type: ignore[union-attr]


def exchange(
    headers: Iterable[Header] = (), method: bytes = b"GET", path: bytes = b"/", downstream: Any = None
) -> Exchange:
    return Exchange(downstream or SimpleNamespace(kept={}), method, path, list(headers), 0.0)


def asked(steps: Steps, request: Exchange) -> Decision | None:
    """The first decision of the request steps."""
    for step in steps.request:
        decision = step(request)
        if decision is not None:
            return decision
    return None


def answered(steps: Steps, request: Exchange, headers: Sequence[Header] = ()) -> Headers:
    """What the response steps make of these headers."""
    changed = list(headers)
    for step in steps.response:
        step(request, changed)
    return changed
