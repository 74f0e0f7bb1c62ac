"""`mesh demo --otlp-endpoint`: a real collector (rotel) has the spans of every workload, joined to traces."""

from __future__ import annotations

import re
from pathlib import Path

from tests.harness.ports import free_network, free_port
from tests.harness.process import Process, wait_until
from tests.integration.demo.stack import running_demo
from tests.integration.telemetry.test_collector import agent, collector

__all__ = ["agent", "collector"]  # fixtures

SERVICES = {"istio-ingressgateway", "productpage", "details", "reviews", "ratings"}
SPANS_SECONDS = 90.0
SERVICE = re.compile(r"service\.name: Str\((.+?)\)")
TRACE = re.compile(r"Trace ID\s+: ([0-9a-f]{32})")


def test_a_collector_has_the_demos_spans(collector: tuple[Process, int, int], tmp_path: Path) -> None:
    agent, grpc, _ = collector
    endpoint = f"grpc://127.0.0.1:{grpc}"
    with running_demo(tmp_path, free_network(), free_port(), "--rate", "10", "--otlp-endpoint", endpoint):

        def seen() -> set[str]:
            return {name.partition(".")[0] for name in SERVICE.findall(agent.log_path.read_text())}

        wait_until(lambda: seen() >= SERVICES, SPANS_SECONDS, "spans of every service")
        traces = TRACE.findall(agent.log_path.read_text())
    assert max(map(traces.count, set(traces))) >= 6  # gateway, productpage's two calls and their other ends
