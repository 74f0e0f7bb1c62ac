"""One mesh and one Prometheus for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from tests.harness.ports import free_network, free_port
from tests.harness.process import wait_until
from tests.harness.prometheus import Prometheus, running_prometheus
from tests.integration.demo.stack import ROOT, Demo, running_demo

RULES = ROOT / "examples" / "prometheus"
WORKLOADS = {
    "istio-ingressgateway": 1,
    "productpage-v1": 11,
    "details-v1": 12,
    "ratings-v1": 13,
    "reviews-v1": 21,
    "reviews-v2": 22,
    "reviews-v3": 23,
}
LATER = 90  # of a workload that a test adds
FAULTS = ("ratings-three-state-breaker", "reviews-circuit-breaker", "ratings-abort-jason", "reviews-90-10")


@dataclass(frozen=True, slots=True)
class Watched:
    demo: Demo
    prometheus: Prometheus
    _changes: Iterator[str] = field(default_factory=lambda: cycle(("reviews-jason-v2", "reviews-90-10")))

    def disturb(self) -> None:
        """Something of everything: pages, a user for whom ratings fails, pages that are not there, a changed rule."""
        self.apply(next(self._changes))
        for path, headers in (
            ("/productpage", {}),
            ("/productpage", {"end-user": "jason"}),
            ("/api/v1/products/7", {}),
            ("/nowhere", {}),
        ):
            self.demo.get(path, headers)

    def apply(self, name: str) -> None:
        text = (ROOT / "examples" / "bookinfo" / "networking" / f"{name}.yaml").read_text()
        self.demo.apply(text, f"{name}.yaml")


@pytest.fixture(scope="package")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("boards")
    network = free_network()
    with running_demo(folder, network, free_port(), "--rate", "20") as demo:
        proxies = [
            {"targets": [f"{network}.{host}:15090"], "labels": {"pod": pod, "namespace": "default"}}
            for pod, host in WORKLOADS.items()
        ]
        jobs = {
            "envoy-stats": proxies,
            "envoy-stats-later": [{"targets": [f"{network}.{LATER}:15090"], "labels": {"pod": "db-v1"}}],
            "istiod": [{"targets": [f"{network}.1:15014"], "labels": {"app": "istiod", "pod": "istiod-1"}}],
        }
        rules = sorted(RULES.glob("rules/*.yml"))
        with running_prometheus(folder, jobs, rules) as prometheus:
            wait_until(lambda: len(prometheus.query("up == 1")) == len(WORKLOADS) + 1, 30, "all targets up")
            found = Watched(demo, prometheus)
            for name in FAULTS:
                found.apply(name)
            yield found
