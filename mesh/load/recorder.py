"""What a load saw: latencies, statuses, sizes; in the sending process, and summed over several.

The hot path appends microseconds to a list; `Recorder.take()` folds them into HDR histograms (three significant digits from
1 µs to an hour) and gives everything as plain data that another process can add to its `Totals`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mesh.errors import MeshError

LEAST_US, MOST_US, DIGITS = 1, 3_600_000_000, 3
SUCCESSES = range(200, 400)


def histogram() -> Any:
    """An empty HDR histogram of microseconds."""
    try:
        from hdrh.histogram import HdrHistogram
    except ImportError as error:
        raise MeshError("load needs the package hdrhistogram: pip install 'asyncmesh[experiments]'") from error
    return HdrHistogram(LEAST_US, MOST_US, DIGITS)


class Recorder:
    """Of one kind of request. `latencies` are microseconds from the moment a request was due, `service` from that at
    which it was sent."""

    __slots__ = ("errors", "labels", "latencies", "received", "service", "statuses")

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.latencies: list[int] = []
        self.service: list[int] = []
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.received = 0

    def take(self) -> dict[str, Any]:
        """What came since the last call, as plain data."""
        data = {
            "latencies": sorted(Counter(self.latencies).items()),
            "service": sorted(Counter(self.service).items()),
            "statuses": dict(self.statuses),
            "errors": dict(self.errors),
            "labels": dict(self.labels),
            "received": self.received,
        }
        self._clear()
        return data


class Totals:
    """The sum of what recorders gave. `latency` and `service` are HDR histograms; errors have no latency in them."""

    def __init__(self) -> None:
        self.latency = histogram()
        self.service = histogram()
        self.total_us = 0
        self.total_squares = 0.0
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.received = 0

    def add(self, data: Mapping[str, Any]) -> None:
        for value, count in data["latencies"]:
            self.latency.record_value(_within(value), count)
            self.total_us += value * count
            self.total_squares += float(value) * value * count
        for value, count in data["service"]:
            self.service.record_value(_within(value), count)
        self.statuses.update({int(status): count for status, count in data["statuses"].items()})
        self.errors.update(data["errors"])
        self.labels.update(data["labels"])
        self.received += data["received"]

    def merge(self, others: Iterable[Totals]) -> None:
        for other in others:
            self.latency.add(other.latency)
            self.service.add(other.service)
            self.total_us += other.total_us
            self.total_squares += other.total_squares
            self.statuses.update(other.statuses)
            self.errors.update(other.errors)
            self.labels.update(other.labels)
            self.received += other.received

    @property
    def answered(self) -> int:
        return sum(self.statuses.values())

    @property
    def requests(self) -> int:
        return self.answered + sum(self.errors.values())

    @property
    def succeeded(self) -> int:
        return sum(count for status, count in self.statuses.items() if status in SUCCESSES)

    @property
    def success(self) -> float | None:
        """The share of 2xx and 3xx; None before the first answer."""
        return self.succeeded / self.requests if self.requests else None

    def quantile(self, q: float) -> float | None:
        """Milliseconds; None without answers."""
        return self.latency.get_value_at_percentile(100 * q) / 1000 if self.answered else None

    @property
    def mean(self) -> float | None:
        return self.total_us / self.answered / 1000 if self.answered else None

    @property
    def deviation(self) -> float:
        """The standard deviation in milliseconds."""
        n = self.answered
        variance = self.total_squares / n - (self.total_us / n) ** 2 if n else 0.0
        return math.sqrt(max(variance, 0.0)) / 1000


def _within(value: int) -> int:
    return min(max(value, LEAST_US), MOST_US)
