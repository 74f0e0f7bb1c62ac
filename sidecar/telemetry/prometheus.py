"""The metrics as prometheus-client sees them: custom collectors over cells that are never read but here.

A scrape of a large proxy is tens of thousands of lines and takes a while: `pieces` renders it bit by bit, so that whoever
answers the scrape can let requests through in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from sidecar.telemetry.cells import BUCKETS, Counter, Gauge, Histogram
from sidecar.telemetry.istio_metrics import REQUEST_LABELS, TCP_LABELS, IstioMetrics, RequestSeries, TcpSeries
from sidecar.telemetry.registry import Cell, Stat, Stats

# Lines rendered between two breaths, about 3 ms of work.
PIECE = 500

_BOUNDS = tuple(f"{bound:g}" if bound < 1e6 else str(int(bound)) for bound in BUCKETS)  # as Envoy writes them
_KINDS = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}


class StatsCollector(Collector):
    """Envoy's statistics, `envoy_` in front, tags as labels. With `used_only`, only what has ever been written to."""

    def __init__(
        self, stats: Stats, *, used_only: bool = False, matches: Callable[[str], object] | None = None
    ) -> None:
        self._stats = stats
        self._used_only = used_only
        self._matches = matches

    def collect(self) -> Iterator[Metric]:
        families: dict[tuple[str, type[Cell]], list[Stat]] = {}
        for part in self._stats.parts():
            for stat in part:
                if self._used_only and not used(stat.cell):
                    continue
                if self._matches is None or self._matches(stat.name):
                    families.setdefault((stat.family, type(stat.cell)), []).append(stat)
        names = {family for family, _ in families}
        for (family, kind), stats in sorted(families.items(), key=lambda item: item[0][0]):
            clashes = family.removesuffix("_total") in names - {family}
            yield _envoy_family(f"envoy_{family}", "unknown" if clashes else _KINDS[kind], stats)


def used(cell: Cell) -> bool:
    """Whether a cell was ever written to; a gauge that went back to zero does not count, unlike Envoy's."""
    return bool(cell.bins) if isinstance(cell, Histogram) else bool(cell.value)


def _envoy_family(name: str, kind: str, stats: Iterable[Stat]) -> Metric:
    """Counters have `_total` at the end, say prometheus-client and OpenMetrics. Those of Envoy's that have not, or that
    would be another's name without it (`upstream_rq_total` beside `upstream_rq`), are of unknown type."""
    if kind == "counter" and not name.endswith("_total"):
        kind = "unknown"
    metric = Metric(name.removesuffix("_total") if kind == "counter" else name, "", kind)
    for stat in stats:
        labels = dict(stat.labels)
        if isinstance(stat.cell, Histogram):
            _histogram(metric, name, labels, stat.cell.buckets(), stat.cell.count, stat.cell.sum)
        else:
            metric.samples.append(Sample(name, labels, stat.cell.value))
    return metric


def _histogram(
    metric: Metric, name: str, labels: dict[str, str], cumulative: Iterable[int], count: int, total: float
) -> None:
    for bound, value in zip(_BOUNDS, cumulative, strict=True):
        metric.samples.append(Sample(f"{name}_bucket", {**labels, "le": bound}, value))
    metric.samples.append(Sample(f"{name}_bucket", {**labels, "le": "+Inf"}, count))
    metric.samples.append(Sample(f"{name}_sum", labels, total))
    metric.samples.append(Sample(f"{name}_count", labels, count))


class IstioCollector(Collector):
    """Istio's standard metrics."""

    def __init__(self, metrics: IstioMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        requests = [
            (dict(zip(REQUEST_LABELS, series.labels, strict=True)), series)
            for series in list(self._metrics.request_series.values())
        ]
        yield _counter("istio_requests", [(labels, series.requests) for labels, series in requests])
        yield _request_histogram("istio_request_duration_milliseconds", requests, _duration)
        yield _request_histogram("istio_request_bytes", requests, _received)
        yield _request_histogram("istio_response_bytes", requests, _sent)
        sessions = [
            (dict(zip(TCP_LABELS, series.labels, strict=True)), series)
            for series in list(self._metrics.tcp_series.values())
        ]
        yield _tcp_counter("istio_tcp_connections_opened", sessions, lambda series: series.opened)
        yield _tcp_counter("istio_tcp_connections_closed", sessions, lambda series: series.closed)
        yield _tcp_counter("istio_tcp_sent_bytes", sessions, lambda series: series.sent)
        yield _tcp_counter("istio_tcp_received_bytes", sessions, lambda series: series.received)
        yield _counter("mesh_istio_series_overflow", [({}, self._metrics.overflow.value)])


def _counter(name: str, values: Iterable[tuple[dict[str, str], float]]) -> Metric:
    metric = Metric(name, "", "counter")
    metric.samples += [Sample(f"{name}_total", labels, value) for labels, value in values]
    return metric


def _tcp_counter(
    name: str, sessions: Iterable[tuple[dict[str, str], TcpSeries]], value: Callable[[TcpSeries], float]
) -> Metric:
    return _counter(name, [(labels, value(series)) for labels, series in sessions])


def _duration(series: RequestSeries) -> tuple[list[int], float]:
    return series.duration, series.duration_sum


def _received(series: RequestSeries) -> tuple[list[int], float]:
    return series.received, series.received_sum


def _sent(series: RequestSeries) -> tuple[list[int], float]:
    return series.sent, series.sent_sum


def _request_histogram(
    name: str,
    requests: Iterable[tuple[dict[str, str], RequestSeries]],
    read: Callable[[RequestSeries], tuple[list[int], float]],
) -> Metric:
    metric = Metric(name, "", "histogram")
    for labels, series in requests:
        counts, total = read(series)
        cumulative, so_far = [], 0
        for count in counts:
            so_far += count
            cumulative.append(so_far)
        _histogram(metric, name, labels, cumulative[:-1], so_far, total)
    return metric


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


_EOF = b"# EOF\n"


def _pieces(
    registry: CollectorRegistry | Collector, encode: Callable[[Collector], bytes], openmetrics: bool
) -> Iterator[bytes]:
    for metric in registry.collect():
        samples = iter(metric.samples)
        first = True
        while piece := list(islice(samples, PIECE)):
            part = Metric(metric.name, metric.documentation, metric.type, metric.unit)
            part.samples = piece
            text = encode(_One(part)).removesuffix(_EOF)
            yield text if first else _without_head(text)
            first = False
    if openmetrics:
        yield _EOF


def _without_head(text: bytes) -> bytes:
    """The samples alone: HELP and TYPE may be said once."""
    while text.startswith(b"# "):
        text = text.partition(b"\n")[2]
    return text
