"""Made-up traffic: two versions with known error shares and latencies, an interval at a time. Needs numpy.

Latencies are log-normal: most requests fast, a long tail. Each interval's counts are drawn at once (binomial, multinomial),
so that a simulated day costs what a simulated minute costs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

from mesh.errors import MeshError
from mesh.experiments.data import Counts, Latencies

ISTIO_BOUNDS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
FINE_BOUNDS = tuple(round(1.15**step, 4) for step in range(66))  # 1 ms to 9 s, 15 % apart


def random_source(seed: int) -> Any:
    try:
        import numpy
    except ImportError as error:
        raise MeshError("simulation needs the package numpy: pip install 'asyncmesh[experiments]'") from error
    return numpy.random.default_rng(seed)


class Source(Protocol):
    """What requests to one version are drawn from: `error` is its share of failures, `shares` those of each bucket and of
    what lies beyond the last."""

    @property
    def error(self) -> float: ...

    @property
    def bounds(self) -> tuple[float, ...]: ...

    def shares(self) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class Version:
    """`error` is its share of failures; `p50` and `p99` are of its latencies in milliseconds."""

    error: float = 0.001
    p50: float = 60.0
    p99: float = 300.0
    bounds: tuple[float, ...] = FINE_BOUNDS

    def slower(self, factor: float) -> Version:
        return Version(self.error, self.p50 * factor, self.p99 * factor, self.bounds)

    def worse(self, points: float) -> Version:
        """With so much more of its requests failing."""
        return Version(self.error + points, self.p50, self.p99, self.bounds)

    def shares(self) -> list[float]:
        normal = NormalDist(math.log(self.p50), math.log(self.p99 / self.p50) / NormalDist().inv_cdf(0.99))
        below = [normal.cdf(math.log(bound)) for bound in self.bounds]
        return [b - a for a, b in zip([0.0, *below], [*below, 1.0], strict=True)]


@dataclass(frozen=True, slots=True)
class Recorded:
    """As an experiment has counted it; `below` is the share of requests up to each bound."""

    error: float
    bounds: tuple[float, ...]
    below: tuple[float, ...]

    @classmethod
    def of(cls, side: Mapping[str, Any]) -> Recorded:
        """From a side of a report in JSON. KeyError, TypeError or ValueError where it is none."""
        bounds, below = tuple(map(float, side["bounds"])), tuple(map(float, side["shares"]))
        if not side["requests"] or not bounds or len(bounds) != len(below) or sorted(below) != list(below):
            raise ValueError("there are no requests, or no latencies")
        return cls(side["failures"] / side["requests"], bounds, below)

    def shares(self) -> list[float]:
        found = [b - a for a, b in zip([0.0, *self.below], [*self.below, 1.0], strict=True)]
        return [max(0.0, each) / sum(found) for each in found]


class Traffic:
    """One version's; `draw(n)` is what n requests did."""

    def __init__(self, version: Source, chance: Any) -> None:
        self._version = version
        self._chance = chance
        self._shares: Sequence[float] = version.shares()

    def draw(self, requests: int) -> Counts:
        failures = int(self._chance.binomial(requests, self._version.error))
        buckets = self._chance.multinomial(requests, self._shares)
        counts = tuple(float(each) for each in buckets[:-1].cumsum())
        return Counts(requests, failures, Latencies(self._version.bounds, counts, float(requests)))
