"""Each workload's heartbeat as metrics: the state that it is in, and when it was last heard of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from control_plane.registry.workload import Workload, heartbeat, last_beat
from mesh.clock import Clock

MOST: Final = 10_000  # workloads that have series of their own
_LABELS: Final = ("workload", "namespace", "service")


class Heartbeats(Collector):
    """Asks, at each scrape, who is there."""

    def __init__(self, workloads: Callable[[], Iterable[Workload]], clock: Clock) -> None:
        self._workloads = workloads
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "mesh_workload_state",
            "1: the state of a workload, by its stream and its probe.",
            labels=(*_LABELS, "state"),
        )
        beats = GaugeMetricFamily(
            "mesh_workload_last_beat_timestamp_seconds", "When a workload was last heard of.", labels=_LABELS
        )
        now = self._clock.wall()
        seen: set[tuple[str, ...]] = set()
        for workload in islice(self._workloads(), MOST):
            node = workload.node
            labels = (node.name, node.namespace, node.service)
            if labels in seen:
                labels = (f"{node.name}@{node.address}", *labels[1:])
            seen.add(labels)
            states.add_metric((*labels, heartbeat(workload).value), 1.0)
            beats.add_metric(labels, last_beat(workload, now))
        yield states
        yield beats

    def describe(self) -> Iterator[Metric]:
        return iter(())
