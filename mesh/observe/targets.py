"""Who there is to ask: the proxies that a control plane knows, and the control plane itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

PROXIES: Final = "envoy-stats"  # Istio's names of the jobs, which its boards look for
PLANE: Final = "istiod"


@dataclass(frozen=True, slots=True)
class Target:
    """An address that serves metrics, and the labels that Prometheus would give what it says."""

    host: str
    port: int
    path: str
    job: str
    pod: str
    namespace: str = "default"

    @property
    def instance(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def labels(self) -> dict[str, str]:
        return {"job": self.job, "instance": self.instance, "pod": self.pod, "namespace": self.namespace}


def targets(proxies: Iterable[Mapping[str, Any]], plane: tuple[str, int]) -> tuple[Target, ...]:
    """`proxies` as the control plane's API lists them; those that serve no metrics (proxyless clients) are left out."""
    found = [
        Target(
            str(proxy["address"]),
            int(proxy["metrics_port"]),
            "/stats/prometheus",
            PROXIES,
            str(proxy["name"]),
            str(proxy["namespace"]),
        )
        for proxy in proxies
        if proxy.get("metrics_port") and proxy.get("address")
    ]
    return (*found, Target(*plane, "/metrics", PLANE, "control-plane", "istio-system"))
