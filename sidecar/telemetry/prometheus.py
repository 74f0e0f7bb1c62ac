"""The metrics as prometheus-client sees them: custom collectors over cells that are never read but here.

prometheus-client's own rendering takes 9 µs a line, and a sidecar that knows a hundred clusters has thirty thousand. Our
families therefore are `CellMetric`s: to prometheus-client they are metrics like any other, and `pieces` has them render
themselves, twenty times as fast. It does so bit by bit, so that whoever answers a scrape can let requests through in
between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from sidecar.telemetry.cells import BUCKETS, Counter, Gauge, Histogram
from sidecar.telemetry.istio_metrics import Exemplar, IstioMetrics, RequestSeries
from sidecar.telemetry.registry import Cell, Family, Labels, Stats
from sidecar.telemetry.tcp_metrics import TcpSeries

# Characters rendered between two breaths: a quarter of a millisecond's work, and small enough for memory that is used again.
PIECE = 60_000
# Lines without buckets that are rendered at once.
_LINES: Final = 100

_KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
_LE = (*(f"{bound:g}" if bound < 1e6 else str(int(bound)) for bound in BUCKETS), "+Inf")  # as Envoy writes them
# A histogram's buckets with a mark where each line's beginning goes, which is the same for all.
_MARK: Final = "\0"
_BUCKETS: Final = "".join(f'{_MARK}le="{bound}"}} %d\n' for bound in _LE)


class Points:
    """One series as a scrape sees it. `value` is a number, or for a histogram (cumulative buckets with +Inf's, sum);
    `exemplars` are those of some of its buckets, by their number."""

    __slots__ = ("exemplars", "labels", "text", "value")

    def __init__(
        self,
        labels: Callable[[], Labels],
        text: str,
        value: float | tuple[list[int], float],
        exemplars: Mapping[int, Exemplar] | None = None,
    ) -> None:
        self.exemplars = exemplars
        self.labels = labels
        self.text = text
        self.value = value


class CellMetric(Metric):
    """A family that renders itself; `samples` are made only for who asks."""

    def __init__(self, name: str, kind: str, points: Iterable[Points], documentation: str = "") -> None:
        # What is appended in the exposition: counters end in _total there, whatever prometheus-client calls them here.
        self.sample_name = name
        self._points = list(points)
        super().__init__(name.removesuffix("_total") if kind == "counter" else name, documentation, kind)

    @property
    def points(self) -> list[Points]:
        return self._points

    @property
    def samples(self) -> list[Sample]:
        return [sample for points in self.points for sample in self._samples(points)]

    @samples.setter
    def samples(self, _value: list[Sample]) -> None:
        """The base class starts with an empty list."""

    def _samples(self, points: Points) -> Iterator[Sample]:
        name, labels = self.sample_name, dict(points.labels())
        if not isinstance(points.value, tuple):
            yield Sample(name, labels, points.value)
            return
        buckets, total = points.value
        for bound, count in zip(_LE, buckets, strict=True):
            yield Sample(f"{name}_bucket", {**labels, "le": bound}, count)
        yield Sample(f"{name}_sum", labels, total)
        yield Sample(f"{name}_count", labels, buckets[-1])

    def lines(self, *, openmetrics: bool) -> Iterator[str]:
        """The family's text, some lines at a time; nothing when it is empty."""
        bodies = self._bodies(openmetrics)
        first = next(bodies, None)
        if first is None:
            return
        if openmetrics:
            head, kind = self.name, self.type
        else:
            head, kind = self.sample_name, "untyped" if self.type == "unknown" else self.type
        yield f"# HELP {head} {self.documentation}\n# TYPE {head} {kind}\n"
        yield first
        yield from bodies

    def _bodies(self, openmetrics: bool) -> Iterator[str]:
        name = self.sample_name
        for points in self.points:
            text, value = points.text, points.value
            if isinstance(value, tuple):
                yield _histogram_text(name, text, *value, points.exemplars if openmetrics else None)
            else:
                yield f"{name}{{{text}}} {value}\n" if text else f"{name} {value}\n"


def _histogram_text(
    name: str, text: str, buckets: list[int], total: float, exemplars: Mapping[int, Exemplar] | None
) -> str:
    start = f"{name}_bucket{{{text}," if text else f"{name}_bucket{{"
    braced = f"{{{text}}}" if text else ""
    counts = _BUCKETS % tuple(buckets)
    if exemplars:
        lines = counts.splitlines()
        for at, exemplar in exemplars.items():
            lines[at] += f' # {{trace_id="{exemplar.trace_id}"}} {exemplar.value:.6g} {exemplar.at:.3f}'
        counts = "\n".join((*lines, ""))
    return f"{counts.replace(_MARK, start)}{name}_sum{braced} {total}\n{name}_count{braced} {buckets[-1]}\n"


# ── Envoy's statistics ────────────────────────────────────────────────────────────────────────────────────────────────


class StatsCollector(Collector):
    """Envoy's statistics, `envoy_` in front, tags as labels. With `used_only`, only what has ever been written to."""

    def __init__(
        self, stats: Stats, *, used_only: bool = False, matches: Callable[[str], object] | None = None
    ) -> None:
        self._stats = stats
        self._used_only = used_only
        self._matches = matches

    def collect(self) -> Iterator[Metric]:
        everything = not self._used_only and self._matches is None
        for family in self._stats.families(None if everything else self._wanted):
            if family.rows:
                yield _EnvoyMetric(family)

    def _wanted(self, name: str, cell: Cell) -> bool:
        if self._used_only and not used(cell):
            return False
        return self._matches is None or bool(self._matches(name))


def used(cell: Cell) -> bool:
    """Whether a cell was ever written to; a gauge that went back to zero does not count, unlike Envoy's."""
    return bool(cell.bins) if isinstance(cell, Histogram) else bool(cell.value)


# Families whose counters would be another family's name without `_total`.
_CLASHING = frozenset(("cluster_upstream_rq_total",))


class _EnvoyMetric(CellMetric):
    """A family of Envoy's statistics: most of a scrape's lines, so that an object is made of a line only for who asks."""

    def __init__(self, family: Family) -> None:
        """Counters have `_total` at the end, say prometheus-client and OpenMetrics. Those of Envoy's that have not, or that
        would be another's name without it (`upstream_rq_total` beside `upstream_rq`), are of unknown type."""
        kind = _KINDS[family.kind]
        if kind == "counter" and (not family.name.endswith("_total") or family.name in _CLASHING):
            kind = "unknown"
        self._rows = family.rows
        super().__init__(f"envoy_{family.name}", kind, ())

    @property
    def points(self) -> list[Points]:
        return [
            Points(row.pairs, row.text, _distribution(row.cell) if isinstance(row.cell, Histogram) else row.cell.value)
            for row in self._rows
        ]

    def _bodies(self, openmetrics: bool) -> Iterator[str]:
        name = self.sample_name
        if self.type == "histogram":
            for cell, _, text in self._rows:
                if isinstance(cell, Histogram):
                    yield _histogram_text(name, text, *_distribution(cell), None)
            return
        for start in range(0, len(self._rows), _LINES):
            yield "".join(
                [
                    f"{name}{{{text}}} {cell.value}\n" if text else f"{name} {cell.value}\n"  # type: ignore[union-attr]
                    for cell, _, text in self._rows[start : start + _LINES]
                ]
            )


def _distribution(cell: Histogram) -> tuple[list[int], float]:
    return [*cell.buckets(), cell.count], cell.sum


# ── Istio's metrics ───────────────────────────────────────────────────────────────────────────────────────────────────


class IstioCollector(Collector):
    """Istio's standard metrics."""

    def __init__(self, metrics: IstioMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[CellMetric]:
        requests = self._metrics.all_requests()
        yield _requests("istio_requests_total", "counter", requests, lambda series: series.requests)
        timed = _having("request_duration_milliseconds", requests)
        yield CellMetric(
            "istio_request_duration_milliseconds",
            "histogram",
            (Points(series.pairs, series.text, _duration(series), series.exemplars) for series in timed),
        )
        yield _requests("istio_request_bytes", "histogram", requests, _received)
        yield _requests("istio_response_bytes", "histogram", requests, _sent)
        calls = [series for series in requests if series.request_messages or series.response_messages]
        yield _requests("istio_request_messages_total", "counter", calls, lambda series: series.request_messages)
        yield _requests("istio_response_messages_total", "counter", calls, lambda series: series.response_messages)
        sessions = self._metrics.tcp.all_series()
        yield _sessions("istio_tcp_connections_opened_total", sessions, lambda series: series.opened)
        yield _sessions("istio_tcp_connections_closed_total", sessions, lambda series: series.closed)
        yield _sessions("istio_tcp_sent_bytes_total", sessions, lambda series: series.sent)
        yield _sessions("istio_tcp_received_bytes_total", sessions, lambda series: series.received)
        overflow = Points(tuple, "", self._metrics.overflow.value)
        documentation = "New series that were counted as unknown, because there are too many."
        yield CellMetric("mesh_istio_series_overflow_total", "counter", [overflow], documentation)


def _requests(
    name: str,
    kind: str,
    requests: Iterable[RequestSeries],
    read: Callable[[RequestSeries], float | tuple[list[int], float]],
) -> CellMetric:
    some = _having(name.removeprefix("istio_"), requests)
    return CellMetric(name, kind, (Points(series.pairs, series.text, read(series)) for series in some))


def _having(metric: str, requests: Iterable[RequestSeries]) -> Iterator[RequestSeries]:
    """The series that a metric is in."""
    return (series for series in requests if metric in series.metrics)


def _sessions(name: str, sessions: Iterable[TcpSeries], read: Callable[[TcpSeries], float]) -> CellMetric:
    some = (series for series in sessions if name.removeprefix("istio_") in series.metrics)
    return CellMetric(name, "counter", (Points(series.pairs, series.text, read(series)) for series in some))


def _duration(series: RequestSeries) -> tuple[list[int], float]:
    return _cumulative(series.duration), series.duration_sum


def _received(series: RequestSeries) -> tuple[list[int], float]:
    return _cumulative(series.received), series.received_sum


def _sent(series: RequestSeries) -> tuple[list[int], float]:
    return _cumulative(series.sent), series.sent_sum


def _cumulative(counts: list[int]) -> list[int]:
    return list(accumulate(counts))


# ── rendering ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _One(Collector):
    """A registry of one family."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def pieces(registry: CollectorRegistry | Collector, accept: str) -> tuple[str, Iterator[bytes]]:
    """The exposition that `accept` (a scraper's header) asks for: its content type, and the text in pieces."""
    encode, content_type = choose_encoder(accept)
    return content_type, _pieces(registry, encode, openmetrics=content_type.startswith("application/openmetrics"))


_EOF: Final = "# EOF\n"


def _pieces(
    registry: CollectorRegistry | Collector, encode: Callable[[Collector], bytes], openmetrics: bool
) -> Iterator[bytes]:
    lines, size = [], 0
    for metric in registry.collect():
        if not isinstance(metric, CellMetric):  # somebody else's collector
            lines.append(encode(_One(metric)).decode().removesuffix(_EOF))
            continue
        for some in metric.lines(openmetrics=openmetrics):
            lines.append(some)
            size += len(some)
            if size >= PIECE:
                yield "".join(lines).encode()
                lines, size = [], 0
    if openmetrics:
        lines.append(_EOF)
    yield "".join(lines).encode()
