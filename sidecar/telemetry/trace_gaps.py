"""Traces that break in an app: it sends a request on without the trace context of the one that it is answering.

A sidecar gives its app a trace context with every request. When the app, with requests open, sends one that has none, a
trace ends and another begins; as a rule the app (or its HTTP client) does not pass the headers on. Nothing is looked at but
where a trace begins at an outbound listener, which is where no request of a healthy mesh begins one: there, how many
requests are open inbound is read from the connection managers' own gauges.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mesh.node import Node
from sidecar.telemetry.registry import Stats
from sidecar.telemetry.stats import HttpStats

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

log = logging.getLogger(__name__)

WARN_SECONDS: Final = 600.0  # one warning in this time


class TraceGaps:
    """The gaps of one workload. `clock` tells seconds that only go up."""

    def __init__(self, stats: Stats, node: Node, clock: Callable[[], float]) -> None:
        self._stats = stats
        self._service = node.service or node.canonical_service or node.name
        self._clock = clock
        self._prefixes: set[str] = set()
        self._warned = -WARN_SECONDS
        self.count = stats.counter("mesh_trace.gaps")

    def inbound(self, stat_prefix: str) -> None:
        """A connection manager that the workload's own requests come in by."""
        self._prefixes.add(stat_prefix.replace(":", "_"))  # as groups are named

    def begins(self, exchange: Exchange) -> None:
        """A trace begins with this request of the app's."""
        for prefix in self._prefixes:
            if self._busy(prefix):
                self._tell(exchange)
                return

    def _tell(self, exchange: Exchange) -> None:
        self.count.value += 1
        now = self._clock()
        if now - self._warned < WARN_SECONDS:
            return
        self._warned = now
        log.warning(
            "trace gap: %s asked %s without the trace context of a request that it has open, so that the trace ends here; "
            "its app has to pass traceparent (or b3) on. %d so far, the next warning is due in %d s",
            self._service,
            exchange.authority.decode("latin-1"),
            self.count.value,
            WARN_SECONDS,
        )

    def _busy(self, stat_prefix: str) -> bool:
        """Whether requests are open at a connection manager."""
        stats = self._stats.group(HttpStats, stat_prefix)
        return isinstance(stats, HttpStats) and stats.downstream_rq_active.value > 0
