from __future__ import annotations

import os
from importlib.metadata import version

from prometheus_client import CollectorRegistry

from sidecar.telemetry.process_metrics import ProcessMetrics
from sidecar.telemetry.prometheus import pieces


def test_the_process_and_its_release_are_told_under_their_usual_names() -> None:
    registry = CollectorRegistry()
    registry.register(ProcessMetrics())
    text = b"".join(pieces(registry, "")[1]).decode()
    values = {line.split(" ")[0]: float(line.split(" ")[1]) for line in text.splitlines() if not line.startswith("#")}
    assert values[f'istio_build{{component="proxy",tag="{version("asyncmesh")}"}}'] == 1
    assert values["process_cpu_seconds_total"] > 0
    assert values["process_resident_memory_bytes"] > 10_000_000
    assert values["process_open_fds"] <= len(os.listdir("/proc/self/fd")) + 2
    assert "# TYPE process_cpu_seconds_total counter" in text
