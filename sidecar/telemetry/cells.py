"""What the hot path writes to: counters, gauges and histograms that are one attribute or one method away.

A cell knows neither its name nor its labels; whoever registered it does (`stats.Stats`, `istio_metrics.IstioMetrics`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Final

# Envoy's default upper bounds for every histogram, whatever its unit.
BUCKETS: Final[tuple[float, ...]] = (
    0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0, 30_000.0, 60_000.0,
    300_000.0, 600_000.0, 1_800_000.0, 3_600_000.0,
)  # fmt: skip

# Envoy's quantiles of a histogram's text form.
QUANTILES: Final[tuple[float, ...]] = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0)

# Log-linear bins, 90 a decade from 0.01 to 10¹⁰, as the library behind Envoy's histograms has them: two significant
# digits, so that quantiles are within 10 % and each of BUCKETS is exactly the upper bound of a bin.
BOUNDS: Final[tuple[float, ...]] = (
    0.01,
    *(round(digits * 10.0**power, 3) for power in range(-3, 9) for digits in range(11, 101)),
)
_BUCKET_BINS: Final = tuple(BOUNDS.index(bucket) for bucket in BUCKETS)


class Counter:
    """Only grows; hot code does `counter.value += 1`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Gauge:
    """Goes up and down; hot code adds to `value` or sets it."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """A distribution, and what of it was there at the last `latch()` (the interval of Envoy's text form)."""

    __slots__ = ("_latched", "bins", "sum")

    def __init__(self) -> None:
        self.bins: defaultdict[int, int] = defaultdict(int)
        self.sum = 0.0
        self._latched: tuple[dict[int, int], dict[int, int]] | None = None  # (all so far, the finished interval)

    def record(self, value: float) -> None:
        self.bins[bisect_left(BOUNDS, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        return sum(self.bins.values())

    def latch(self) -> None:
        """Ends an interval: what was recorded since the last call becomes `interval()`."""
        before = self._latched[0] if self._latched else {}
        now = dict(self.bins)
        self._latched = now, {index: more for index, n in now.items() if (more := n - before.get(index, 0))}

    def interval(self) -> dict[int, int]:
        return self._latched[1] if self._latched else {}

    def merge(self, other: Histogram) -> None:
        """Adds another process's."""
        latched = [each._latched for each in (self, other)]
        for index, n in other.bins.items():
            self.bins[index] += n
        self.sum += other.sum
        if all(latched):
            pairs = [pair for pair in latched if pair is not None]
            self._latched = _added(pairs[0][0], pairs[1][0]), _added(pairs[0][1], pairs[1][1])
        else:
            self._latched = latched[0] or latched[1]

    def reset(self) -> None:
        self.bins.clear()
        self.sum = 0.0
        self._latched = None

    def buckets(self) -> list[int]:
        """Cumulative counts for BUCKETS; what lies above the last one is only in `count`."""
        return up_to(self.bins)


def up_to(bins: dict[int, int]) -> list[int]:
    """How many of binned values are at most each of BUCKETS."""
    total, counts, ordered = 0, [], iter(sorted(bins.items()))
    index, n = next(ordered, (len(BOUNDS), 0))
    for bound in _BUCKET_BINS:
        while n and index <= bound:
            total += n
            index, n = next(ordered, (len(BOUNDS), 0))
        counts.append(total)
    return counts


def _added(one: dict[int, int], other: dict[int, int]) -> dict[int, int]:
    return {index: one.get(index, 0) + other.get(index, 0) for index in one | other}


def quantiles(bins: dict[int, int]) -> list[float]:
    """QUANTILES of binned values, interpolated inside the bin; empty when nothing was recorded."""
    total = sum(bins.values())
    if not total:
        return []
    ordered = sorted(bins.items())
    values: list[float] = []
    below, position = 0, 0
    for quantile in QUANTILES:
        wanted = quantile * total
        while below + ordered[position][1] < wanted:
            below += ordered[position][1]
            position += 1
        index, n = ordered[position]
        upper = BOUNDS[min(index, len(BOUNDS) - 1)]
        lower = BOUNDS[index - 1] if index else 0.0
        values.append(lower + (upper - lower) * max(wanted - below, 0.0) / n)
    return values
