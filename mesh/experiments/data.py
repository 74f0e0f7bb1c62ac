"""What was counted of one version: requests, failures, and how long requests took, in buckets."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random


@dataclass(frozen=True, slots=True)
class Latencies:
    """Cumulative counts by upper bound in milliseconds, as Prometheus' histograms have them. What lies above the last
    bound is in `total` only. Within a bucket values count as spread evenly, as `histogram_quantile` has it."""

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    total: float = 0.0

    @classmethod
    def of(cls, buckets: Mapping[float, float]) -> Latencies:
        """From bucket bounds, +Inf among them."""
        ordered = sorted(buckets.items())
        finite = [(bound, count) for bound, count in ordered if not math.isinf(bound)]
        total = ordered[-1][1] if ordered else 0.0
        return cls(tuple(bound for bound, _ in finite), tuple(count for _, count in finite), total)

    def at_most(self, value: float) -> float:
        """How many took at most so many milliseconds."""
        bounds, counts = self.bounds, self.counts
        index = bisect_left(bounds, value)
        if index == len(bounds):
            return counts[-1] if counts else 0.0
        low, below = (bounds[index - 1], counts[index - 1]) if index else (0.0, 0.0)
        share = (value - low) / (bounds[index] - low)
        return below + share * (counts[index] - below)

    def quantile(self, q: float) -> float | None:
        """Milliseconds; the last bound for what lies beyond it; None without observations."""
        if not self.total or not self.bounds:
            return None
        rank = q * self.total
        index = bisect_left(self.counts, rank)
        if index == len(self.counts):
            return self.bounds[-1]
        low, below = (self.bounds[index - 1], self.counts[index - 1]) if index else (0.0, 0.0)
        within = self.counts[index] - below
        return low + (self.bounds[index] - low) * ((rank - below) / within if within else 1.0)

    def plus(self, other: Latencies) -> Latencies:
        if not self.bounds:
            return other
        if not other.bounds:
            return self
        if self.bounds == other.bounds:
            counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
            return Latencies(self.bounds, counts, self.total + other.total)
        bounds = tuple(sorted({*self.bounds, *other.bounds}))
        counts = tuple(self.at_most(bound) + other.at_most(bound) for bound in bounds)
        return Latencies(bounds, counts, self.total + other.total)

    def times(self, factor: float) -> Latencies:
        return Latencies(self.bounds, tuple(factor * count for count in self.counts), factor * self.total)

    def corners(self, ratio: float = 1.0) -> list[float]:
        """0, the bounds, and the bounds divided by `ratio`: between them, counts at x and at ratio·x grow evenly with x."""
        return sorted({0.0, *self.bounds, *(bound / ratio for bound in self.bounds)})


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one version, since the experiment began."""

    requests: float = 0.0
    failures: float = 0.0
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def error_share(self) -> float | None:
        return self.failures / self.requests if self.requests else None

    def plus(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests, self.failures + other.failures, self.latencies.plus(other.latencies)
        )

    def times(self, factor: float) -> Counts:
        """The same shares in another number of requests."""
        return replace(
            self,
            requests=factor * self.requests,
            failures=factor * self.failures,
            latencies=self.latencies.times(factor),
        )


def halves(counts: Counts, chance: Random) -> tuple[Counts, Counts]:
    """Each request to one of two sides with even chances, as if a route had drawn it. Failures and latencies are drawn for
    themselves: checks ask about one of them at a time."""
    failures = _half(counts.failures, chance)
    requests = failures + _half(counts.requests - counts.failures, chance)
    one = Counts(requests, failures, _half_latencies(counts.latencies, chance))
    rest = tuple(a - b for a, b in zip(counts.latencies.counts, one.latencies.counts, strict=True))
    others = Latencies(counts.latencies.bounds, rest, counts.latencies.total - one.latencies.total)
    return one, Counts(counts.requests - requests, counts.failures - failures, others)


def _half(count: float, chance: Random) -> float:
    """How many of so many throws of a coin are heads."""
    return float(chance.getrandbits(round(count)).bit_count())


def _half_latencies(latencies: Latencies, chance: Random) -> Latencies:
    drawn, below, sum_of = [], 0.0, 0.0
    for count in (*latencies.counts, latencies.total):
        sum_of += _half(count - below, chance)
        drawn.append(sum_of)
        below = count
    return Latencies(latencies.bounds, tuple(drawn[:-1]), drawn[-1])


def from_values(values: Sequence[float], bounds: Sequence[float]) -> Latencies:
    """The buckets of single latencies."""
    ordered = sorted(values)
    return Latencies(tuple(bounds), tuple(float(bisect_right(ordered, bound)) for bound in bounds), float(len(ordered)))
