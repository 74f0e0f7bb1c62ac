"""Istio's metrics of TCP sessions: how many were opened and closed, and what they have moved.

A session counts in the series that it began with until it ends: what its labels say may be another thing by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from sidecar.telemetry.registry import Labels, labels_text
from sidecar.telemetry.uses import Use

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

# Seconds between two counts of what sessions that live have moved, where nobody says otherwise: Istio's.
REPORT_INTERVAL: Final = 5.0

# Without the `istio_` in front: what each has in `TcpSeries`.
TCP_METRICS: Final = (
    "tcp_connections_opened_total",
    "tcp_connections_closed_total",
    "tcp_sent_bytes_total",
    "tcp_received_bytes_total",
)
EVERY_TCP_METRIC: Final = frozenset(TCP_METRICS)


class TcpSeries:
    """The cells of one set of TCP labels. `metrics` are those that have these labels: all, unless some are other than
    usual."""

    __slots__ = ("closed", "labels", "metrics", "names", "opened", "received", "sent", "text")

    def __init__(
        self, labels: tuple[str, ...], names: tuple[str, ...], metrics: frozenset[str] = EVERY_TCP_METRIC
    ) -> None:
        self.labels = labels
        self.names = names
        self.metrics = metrics
        self.text = labels_text(zip(names, labels, strict=True))
        self.opened = 0
        self.closed = 0
        self.sent = 0
        self.received = 0

    def pairs(self) -> Labels:
        return tuple(zip(self.names, self.labels, strict=True))


SeriesOf = Callable[["Exchange", float], tuple[TcpSeries, ...]]


class _Session:
    """A TCP session that lives: the series it counts in, and what of its bytes is counted already."""

    __slots__ = ("every", "received", "sent", "series")

    def __init__(self, series: tuple[TcpSeries, ...], every: float) -> None:
        self.series = series
        self.every = every
        self.sent = 0
        self.received = 0

    def report(self, exchange: Exchange) -> None:
        sent, received = exchange.bytes_sent - self.sent, exchange.bytes_received - self.received
        for series in self.series:
            series.sent += sent
            series.received += received
        self.sent, self.received = exchange.bytes_sent, exchange.bytes_received


class TcpMetrics:
    """All series of a process, and the sessions that live."""

    def __init__(self, names: tuple[str, ...], bounded: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
        self._names = names
        self._bounded = bounded
        self._series: dict[Use, dict[tuple[object, ...], TcpSeries]] = {}
        self._sessions: dict[Exchange, _Session] = {}

    def all_series(self) -> list[TcpSeries]:
        return [series for of_use in self._series.values() for series in of_use.values()]

    def count(self) -> int:
        return sum(len(of_use) for of_use in self._series.values())

    def begin(self, use: Use) -> None:
        """Somebody counts in this way from now on."""
        self._series.setdefault(use, {})

    def forget(self, use: Use) -> None:
        """Nobody does any more: sessions that are left count for nobody."""
        self._series.pop(use, None)

    def usual(self, use: Use, labels: tuple[str, ...]) -> TcpSeries:
        known = self._series.get(use)
        if known is None:
            return TcpSeries(labels, self._names)
        series = known.get(labels)
        if series is None:
            labels = self._bounded(labels)
            series = known.setdefault(labels, TcpSeries(labels, self._names))
        return series

    def changed(
        self,
        use: Use,
        names: tuple[str, ...],
        labels: tuple[str, ...],
        metrics: frozenset[str],
        room: Callable[[], bool],
    ) -> TcpSeries:
        """The series of some metrics whose labels are other than usual; where there is no `room` for another one, that
        of what is unknown."""
        known = self._series.get(use)
        if known is None:
            return TcpSeries(labels, names, metrics)
        series = known.get((metrics, names, labels))
        if series is None:
            labels = labels if room() else ("unknown",) * len(labels)
            series = known.setdefault((metrics, names, labels), TcpSeries(labels, names, metrics))
        return series

    def recorders(
        self, series_of: SeriesOf, every: float
    ) -> tuple[Callable[[Exchange], None], Callable[[Exchange, float], None]]:
        """What records a TCP session that found its host, and one that ended (one without a host was never opened)."""

        def opened(exchange: Exchange) -> None:
            session = _Session(series_of(exchange, exchange.started), every)
            for series in session.series:
                series.opened += 1
            self._sessions[exchange] = session

        def closed(exchange: Exchange, now: float) -> None:
            found = series_of(exchange, now)  # the end has flags that the beginning had not
            session = self._sessions.pop(exchange, None) or _Session(found, every)
            session.series = found
            session.report(exchange)
            for series in found:
                if exchange.endpoint is None:
                    series.opened += 1
                series.closed += 1

        return opened, closed

    def report(self, every: float) -> None:
        """Counts what TCP sessions that live have moved since the last call, of those that are counted so often."""
        for exchange, session in self._sessions.items():
            if session.every == every:
                session.report(exchange)
