"""`process_…` and `istio_build`: what the process uses, and which release it is, under the names that Prometheus' client
libraries and Istio's boards have."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.registry import Collector

from sidecar.telemetry.prometheus import CellMetric, Points
from sidecar.telemetry.registry import labels_text

BUILD: Final = (("component", "proxy"), ("tag", version("asyncmesh")))
# What all processes of one proxy have in common; everything else of them is added.
SHARED: Final = frozenset(("istio_build", "process_max_fds", "process_start_time_seconds"))


class ProcessMetrics(Collector):
    """Of this process: processor time, memory, descriptors, start; read from /proc at each scrape."""

    def __init__(self) -> None:
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[CellMetric]:
        for metric in self._process.collect():
            for sample in metric.samples:
                point = Points(tuple, "", sample.value)
                yield CellMetric(sample.name, metric.type, [point], metric.documentation)
        labels = BUILD
        yield CellMetric(
            "istio_build", "gauge", [Points(lambda: labels, labels_text(labels), 1)], "The release that runs."
        )
