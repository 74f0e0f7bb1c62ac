"""Istio's standard metrics as the demo's view needs them: rate, success and latency of every edge.

Receives the text that a proxy serves at /stats/prometheus; gives an `Edge` per caller, service and version. Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

REQUESTS = "istio_requests_total"
DURATION = "istio_request_duration_milliseconds_bucket"
# Only what is shown: rendering all of a proxy's metrics takes it ten times as long, and requests wait meanwhile.
METRICS_PAGE = "/stats/prometheus?filter=^istio_request(s_total|_duration)"
UNKNOWN = "unknown"
WINDOW_SECONDS = 5.0
LINE = re.compile(rf"^({REQUESTS}|{DURATION})\{{(.*)\}} (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
GROWTH = 1.02  # between the buckets of `Latencies`: quantiles are right to one part in a hundred


class Edge(NamedTuple):
    source: str
    destination: str
    version: str


@dataclass(slots=True)
class Counts:
    """Cumulative counters of an edge; `buckets` by upper bound in milliseconds, each with all below it."""

    total: float = 0.0
    failed: float = 0.0
    buckets: dict[float, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EdgeStats:
    """What an edge did in the last seconds. Quantiles are None when it did nothing."""

    rate: float
    success: float | None
    p50: float | None
    p99: float | None


Snapshot = Mapping[Edge, Counts]


def parse(texts: Iterable[str]) -> dict[Edge, Counts]:
    """The edges as their callers' proxies see them, from the metrics of all proxies."""
    edges: dict[Edge, Counts] = {}
    for text in texts:
        for line in text.splitlines():
            if line.startswith("istio_request") and (found := LINE.match(line)):
                _count(edges, found[1], dict(LABEL.findall(found[2])), float(found[3]))
    return edges


def _count(edges: dict[Edge, Counts], metric: str, labels: Mapping[str, str], value: float) -> None:
    if labels.get("reporter") != "source":
        return
    destination = labels.get("destination_canonical_service", UNKNOWN)
    if destination == UNKNOWN:
        destination = labels.get("destination_service_name", UNKNOWN)
    edge = Edge(
        labels.get("source_canonical_service", UNKNOWN),
        destination,
        labels.get("destination_canonical_revision", UNKNOWN),
    )
    counts = edges.setdefault(edge, Counts())
    if metric == REQUESTS:
        counts.total += value
        code = labels.get("response_code", "0")
        if code == "0" or code.startswith("5"):
            counts.failed += value
    else:
        bound = float(labels.get("le", "nan").replace("+Inf", "inf"))
        counts.buckets[bound] = counts.buckets.get(bound, 0.0) + value


class Window:
    """Snapshots of the last few seconds; what changed between the oldest and the newest."""

    def __init__(self, seconds: float = WINDOW_SECONDS) -> None:
        self._seconds = seconds
        self._snapshots: deque[tuple[float, Snapshot]] = deque()

    def add(self, now: float, snapshot: Snapshot) -> None:
        self._snapshots.append((now, snapshot))
        while len(self._snapshots) > 2 and self._snapshots[1][0] <= now - self._seconds:
            self._snapshots.popleft()

    def edges(self) -> dict[Edge, EdgeStats]:
        if not self._snapshots:
            return {}
        (began, old), (ended, new) = self._snapshots[0], self._snapshots[-1]
        changes = {edge: _change(old.get(edge, Counts()), counts, ended - began) for edge, counts in new.items()}
        # Requests that found no way are an edge to nowhere: worth a line only while there are any.
        return {edge: stats for edge, stats in changes.items() if edge.destination != UNKNOWN or stats.rate}


def _change(old: Counts, new: Counts, seconds: float) -> EdgeStats:
    if new.total < old.total:  # the proxy was restarted: its counters began again
        old = Counts()
    total, failed = new.total - old.total, new.failed - old.failed
    buckets = {bound: value - old.buckets.get(bound, 0.0) for bound, value in new.buckets.items()}
    return EdgeStats(
        total / seconds if seconds else 0.0,
        1 - failed / total if total else None,
        quantile(buckets, 0.5),
        quantile(buckets, 0.99),
    )


def quantile(buckets: Mapping[float, float], q: float) -> float | None:
    """As Prometheus' histogram_quantile: linear within the bucket that holds it; None without observations."""
    ordered = sorted(buckets.items())
    if not ordered or ordered[-1][1] <= 0:
        return None
    rank = q * ordered[-1][1]
    below, lower = 0.0, 0.0
    for bound, count in ordered:
        if count >= rank:
            if math.isinf(bound):
                return lower
            return lower + (bound - lower) * ((rank - below) / (count - below) if count > below else 1.0)
        below, lower = count, bound
    return lower


class Latencies:
    """A histogram of fixed relative precision; as small after a week as after a minute."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total = 0

    def add(self, milliseconds: float) -> None:
        self._counts[math.ceil(math.log(max(milliseconds, 0.01), GROWTH))] += 1
        self._total += 1

    def quantile(self, q: float) -> float | None:
        left = q * self._total
        for bucket, count in sorted(self._counts.items()):
            left -= count
            if left <= 0:
                return float(GROWTH**bucket)
        return None


@dataclass(slots=True)
class LoadTotals:
    """What the load generator saw, since the start."""

    requests: int = 0
    succeeded: int = 0
    skipped: int = 0
    fallbacks: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)

    def add(self, report: Mapping[str, object]) -> None:
        """Takes a line of `mesh.cli.load`."""
        milliseconds, statuses, versions = report["milliseconds"], report["statuses"], report["versions"]
        assert isinstance(milliseconds, list) and isinstance(statuses, dict) and isinstance(versions, dict)  # noqa: S101
        for value in milliseconds:
            self.latencies.add(value)
        for status, count in statuses.items():
            self.requests += count
            if status == "200":
                self.succeeded += count
            else:
                self.failures[status] += count
        for version, count in versions.items():
            if version == "none":
                self.fallbacks += count
            else:
                self.versions[version] += count
        self.skipped += int(str(report["skipped"]))

    @classmethod
    def of(cls, reports: Iterable[Mapping[str, object]]) -> LoadTotals:
        totals = cls()
        for report in reports:
            totals.add(report)
        return totals

    @property
    def success(self) -> float | None:
        """The share of whole pages: one that lacks its reviews is none, though its status is 200."""
        return (self.succeeded - self.fallbacks) / self.requests if self.requests else None

    def shares(self) -> list[tuple[str, int, float]]:
        """Version, pages, share of the pages that had reviews; by version."""
        total = sum(self.versions.values())
        return [(version, count, count / total) for version, count in sorted(self.versions.items())]
