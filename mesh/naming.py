"""Istio's names for xDS resources, so that its tools and documents apply.

Cluster: `outbound|9080|v1|reviews.default.svc.cluster.local`, `inbound|9080||`. Route configurations are named by port
(`9080`, `http.8080` on gateways, `http_proxy` for the explicit proxy).
"""

from __future__ import annotations

from typing import NamedTuple

DOMAIN = "cluster.local"
PASSTHROUGH_CLUSTER = "PassthroughCluster"
BLACKHOLE_CLUSTER = "BlackHoleCluster"
INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster"
LOCAL_CLUSTER = "local_cluster"  # the proxies of one's own service
OUTBOUND_LISTENER = "virtualOutbound"
INBOUND_LISTENER = "virtualInbound"
HTTP_PROXY_ROUTES = "http_proxy"

ADMIN_PORT = 15000
OUTBOUND_PORT = 15001
INBOUND_PORT = 15006
XDS_PORT = 15010
CONTROL_METRICS_PORT = 15014
MERGED_PORT = 15020  # the proxy's metrics and its app's, as Istio's agent serves them
HEALTH_PORT = 15021
CONSOLE_PORT = 15080
PROMETHEUS_PORT = 15090


class ClusterName(NamedTuple):
    """`direction|port|subset|host`; the host is empty for inbound clusters, the subset for whole services."""

    direction: str
    port: int
    subset: str
    host: str

    def __str__(self) -> str:
        return f"{self.direction}|{self.port}|{self.subset}|{self.host}"

    @classmethod
    def parse(cls, name: str) -> ClusterName | None:
        """The parts of a name of this shape, or None for any other name."""
        parts = name.split("|")
        if len(parts) != 4 or not parts[1].isdigit():
            return None
        return cls(parts[0], int(parts[1]), parts[2], parts[3])


def outbound_cluster(host: str, port: int, subset: str = "") -> str:
    return f"outbound|{port}|{subset}|{host}"


def inbound_cluster(port: int) -> str:
    return f"inbound|{port}||"


def service_host(name: str, namespace: str) -> str:
    """The fully qualified name of a service; a name that has dots already stands as it is."""
    return name if "." in name else f"{name}.{namespace}.svc.{DOMAIN}"


def inbound_port(index: int) -> int:
    """Where a sidecar without iptables accepts traffic for its workload's index-th service port (15006, 15106, …)."""
    return INBOUND_PORT + 100 * index
