"""Istio's metrics where a Telemetry resource changes them: metrics left out, labels added, replaced and removed.

Metrics that are changed alike share their series. Nobody who does not ask for it has this on a request's way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from mesh.cel.evaluate import Evaluated
from sidecar.config.model import Direction, MetricChange
from sidecar.telemetry.cel import Subject, compile_expression
from sidecar.telemetry.cells import BUCKETS
from sidecar.telemetry.istio_metrics import (
    REQUEST_LABELS,
    REQUEST_METRICS,
    TCP_LABELS,
    UNKNOWN,
    IstioMetrics,
    RequestSeries,
    peer_of,
)
from sidecar.telemetry.tcp_metrics import TCP_METRICS, TcpSeries
from sidecar.telemetry.uses import Use

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

# No label is longer: they may be made of what strangers send.
MAX_VALUE: Final = 256


class _Group:
    """Metrics with the same labels."""

    def __init__(self, names: frozenset[str], change: MetricChange, usual: Sequence[str]) -> None:
        self.names = names
        kept = [label for label in usual if label not in change.removed]
        tags: Mapping[str, Evaluated] = {name: compile_expression(text) for name, text in change.tags}
        self.labels = (*kept, *(name for name in tags if name not in usual and name not in change.removed))
        self._usual = {label: position for position, label in enumerate(usual)}
        self._tags = tags

    def values(self, usual: tuple[str, ...], subject: Subject) -> tuple[str, ...]:
        return tuple(
            _text(self._tags[label](subject)) if label in self._tags else usual[self._usual[label]]
            for label in self.labels
        )


def _text(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:MAX_VALUE]


def _groups(changes: Iterable[MetricChange], metrics: Iterable[str], labels: Sequence[str]) -> list[_Group]:
    """One for each way in which metrics are changed; those that are dropped are in none."""
    by_name = {change.name: change for change in changes}
    alike: dict[tuple[Any, ...], list[str]] = {}
    for name in metrics:
        change = by_name.get(name, MetricChange(name))
        if not change.drop:
            alike.setdefault((change.tags, change.removed), []).append(name)
    return [_Group(frozenset(names), by_name.get(names[0], MetricChange(names[0])), labels) for names in alike.values()]


def changed_requests(
    metrics: IstioMetrics, direction: Direction, changes: tuple[MetricChange, ...]
) -> Callable[[Exchange, float], None]:
    """What `IstioMetrics.requests` returns, with the changes."""
    groups = _groups(changes, REQUEST_METRICS, REQUEST_LABELS)
    outbound = direction is not Direction.INBOUND
    use = Use(False, outbound, changes)
    metrics.begin_changed(use)

    def record(exchange: Exchange, now: float) -> None:
        usual = metrics.request_labels(exchange, outbound)
        subject = _subject(metrics, exchange, now, outbound)
        for group in groups:
            series = metrics.changed_series(use, group.labels, group.values(usual, subject), group.names)
            _count(series, exchange, now)
            if "request_duration_milliseconds" in group.names:
                metrics.recent = series

    return record


def changed_sessions(
    metrics: IstioMetrics, direction: Direction, changes: tuple[MetricChange, ...], every: float
) -> tuple[Callable[[Exchange], None], Callable[[Exchange, float], None]]:
    """What `IstioMetrics.sessions` returns, with the changes."""
    groups = _groups(changes, TCP_METRICS, TCP_LABELS)
    outbound = direction is not Direction.INBOUND
    use = Use(True, outbound, changes)
    metrics.tcp.begin(use)

    def series_of(exchange: Exchange, now: float) -> tuple[TcpSeries, ...]:
        usual = metrics.session_labels(exchange, outbound)
        subject = _subject(metrics, exchange, now, outbound)
        found = []
        for group in groups:
            labels = group.values(usual, subject)
            found.append(metrics.tcp.changed(use, group.labels, labels, group.names, metrics.has_room))
        return tuple(found)

    return metrics.tcp.recorders(series_of, every)


def _subject(metrics: IstioMetrics, exchange: Exchange, now: float, outbound: bool) -> Subject:
    peer, own = peer_of(exchange, outbound), metrics.own
    source, destination = (own, peer) if outbound else (peer, own)
    return Subject(exchange, now, source, destination)


def _count(series: RequestSeries, exchange: Exchange, now: float) -> None:
    series.requests += 1
    milliseconds = (now - exchange.started) * 1000
    series.duration[bisect_left(BUCKETS, milliseconds)] += 1
    series.duration_sum += milliseconds
    series.received[bisect_left(BUCKETS, float(exchange.bytes_received))] += 1
    series.received_sum += exchange.bytes_received
    series.sent[bisect_left(BUCKETS, float(exchange.bytes_sent))] += 1
    series.sent_sum += exchange.bytes_sent
    if exchange.grpc is not None:
        series.request_messages += exchange.grpc.requests.count
        series.response_messages += exchange.grpc.responses.count
