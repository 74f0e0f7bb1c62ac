"""The telemetry of a process, in one place: what the data plane is given, and what is read by the admin port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from mesh.clock import Clock, SystemClock
from mesh.node import Node
from sidecar.codec.headers import Headers
from sidecar.config.model import Direction, Hcm, TcpProxy
from sidecar.exchange import Exchange
from sidecar.telemetry import peer
from sidecar.telemetry.access_log import AccessLogger, Sinks, compile_access_log
from sidecar.telemetry.cells import Counter
from sidecar.telemetry.istio_metrics import IstioMetrics
from sidecar.telemetry.otlp import OtlpExporter
from sidecar.telemetry.prometheus import IstioCollector, StatsCollector
from sidecar.telemetry.registry import Stats
from sidecar.telemetry.trace import Spans, Tracer

Account = Callable[[Exchange, float], None]


class Telemetry:
    """Hands out what accounts requests. `registry` is what Prometheus reads; `otlp_address` finds the URL of a tracing
    configuration's cluster."""

    def __init__(
        self,
        stats: Stats,
        node: Node,
        loop: asyncio.AbstractEventLoop,
        *,
        clock: Clock | None = None,
    ) -> None:
        self.stats = stats
        self.node = node
        self.peer_headers: Headers = peer.headers(node)
        self.istio = IstioMetrics(node)
        self.sinks = Sinks(loop, stats)
        self.spans = Spans()
        self.registry = CollectorRegistry()
        self.registry.register(IstioCollector(self.istio))
        self.registry.register(StatsCollector(stats))
        self._loop = loop
        self._clock = clock or SystemClock()
        self._exporters: dict[tuple[str, str], OtlpExporter] = {}
        self._breakers: dict[tuple[str, str, str], Counter] = {}

    def accounting(self, config: Hcm, direction: Direction) -> tuple[Account, ...]:
        """What a connection manager tells of each finished exchange. Raises ConfigError for an access log."""
        accounts: list[Account] = [log.log for log in self._logs(config)]
        if direction is not Direction.UNSPECIFIED:
            accounts.append(self.istio.requests(direction))
        tracer = self.tracer(config, direction)
        if tracer is not None:
            accounts.append(tracer.finish)
        return tuple(accounts)
