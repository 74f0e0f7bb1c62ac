"""A workload's Envoy bootstrap file: what `mesh-sidecar` and a real Envoy alike start from.

Receives who the workload is (`mesh.node.Node`), where the control plane is and which ports the proxy may use; returns
plain data, or YAML. Everything else comes over ADS. Static are only the doors that must work before and without a
control plane: admin, metrics and health. Pure: nothing is read, opened or asked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mesh.naming import (
    ADMIN_PORT,
    HEALTH_PORT,
    INBOUND_PORT,
    LOCAL_CLUSTER,
    MERGED_PORT,
    OUTBOUND_PORT,
    PROMETHEUS_PORT,
)
from mesh.node import SIDECAR, Node

XDS_CLUSTER = "xds-grpc"
ADMIN_CLUSTER = "prometheus_stats"  # Istio's name for the admin port as an upstream
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
API = "type.googleapis.com/envoy.extensions"

CONNECT_TIMEOUT = "1s"
# Envoy's default of 30 s keeps a proxy away long after the control plane is back.
RECONNECT_BASE, RECONNECT_MAX = "0.250s", "2s"
# A control plane that is gone without a FIN (a frozen host) is noticed within the sum of the two.
PING_INTERVAL, PING_TIMEOUT = "10s", "5s"
# What the API takes (as Istio's does); Envoy's own limit is 100, and it would reject all routes for one expression.
REGEX_LIMIT, MAX_REGEX_PROGRAM = "re2.max_program_size.error_level", 32768
# What the port for metrics serves: besides them the state of endpoints, and what a sidecar of ours has
# seen, which a real Envoy does not know (404).
METRICS_DOOR = {
    "/stats/prometheus": "/stats/prometheus",
    "/breakers": "/breakers",
    "/clusters": "/clusters",
    "/logs": "/logs",
    "/traces": "/traces",
    "/why": "/why",
}
MERGED_DOOR = {"/stats/prometheus": "/stats/merged", "/metrics": "/stats/merged"}
OWN_APP = "own"  # who is told why the proxy itself answered: the workload it belongs to, no stranger
PORTS_APART = 1000  # between workloads that share one address


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one proxy; Istio's, unless several proxies share one address."""

    admin: int = ADMIN_PORT
    outbound: int = OUTBOUND_PORT
    inbound: int = INBOUND_PORT
    health: int = HEALTH_PORT
    prometheus: int = PROMETHEUS_PORT
    merged: int = MERGED_PORT

    @property
    def all(self) -> tuple[int, ...]:
        return (self.admin, self.outbound, self.inbound, self.health, self.prometheus, self.merged)

    @classmethod
    def shared(cls, index: int) -> Ports:
        """The ports of the index-th proxy on one address: Istio's for the first, a thousand apart for the next ones."""
        offset = PORTS_APART * index
        return cls(*(port + offset for port in cls().all))


def bootstrap(node: Node, xds_host: str, xds_port: int, ports: Ports | None = None) -> dict[str, Any]:
    """The bootstrap of `node` as plain data. The node's own ports follow `ports`."""
    ports = ports or Ports()
    node = replace(node, outbound_port=ports.outbound, inbound_port=ports.inbound)
    xds_node = node.to_xds()
    xds_node["metadata"] |= {"ENVOY_PROMETHEUS_PORT": ports.prometheus, "ENVOY_STATUS_PORT": ports.health}
    if node.kind == SIDECAR:
        xds_node["metadata"]["EXPLAIN_REPLIES"] = OWN_APP
    admin = admin_address(node.address)
    door = node.address if is_loopback(node.address) else ("::" if ":" in node.address else "0.0.0.0")
    return {
        "node": xds_node,
        "admin": {"address": _address(admin, ports.admin)},
        "layered_runtime": {"layers": [{"name": "limits", "static_layer": {REGEX_LIMIT: MAX_REGEX_PROGRAM}}]},
        "dynamic_resources": _dynamic_resources(),
        **({"cluster_manager": {"local_cluster_name": LOCAL_CLUSTER}} if node.self_discovery else {}),
        "static_resources": {
            "listeners": [
                _door("prometheus", door, ports.prometheus, METRICS_DOOR),
                _door("health", door, ports.health, {"/healthz/ready": "/ready"}),
                *([_door("merged", door, ports.merged, MERGED_DOOR)] if node.app_metrics else []),
            ],
            "clusters": [
                _cluster(ADMIN_CLUSTER, admin, ports.admin),
                _xds_cluster(xds_host, xds_port),
                *([_local_cluster()] if node.self_discovery else []),
            ],
        },
    }


def render(config: dict[str, Any]) -> str:
    """`config` as YAML, in the order it was made."""
    import yaml

    text: str = yaml.safe_dump(config, sort_keys=False, default_flow_style=False)
    return text


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def admin_address(address: str) -> str:
    """Where the admin port of a proxy at `address` is: it can stop the proxy, so it is never reachable from outside."""
    return address if is_loopback(address) else "127.0.0.1"


def _dynamic_resources() -> dict[str, Any]:
    back_off = {"base_interval": RECONNECT_BASE, "max_interval": RECONNECT_MAX}
    return {
        "lds_config": _from_ads(),
        "cds_config": _from_ads(),
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [
                {"envoy_grpc": {"cluster_name": XDS_CLUSTER, "retry_policy": {"retry_back_off": back_off}}}
            ],
        },
    }


def _from_ads() -> dict[str, Any]:
    """No time-out: a proxy without its configuration is not ready, it does not serve half of it."""
    return {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}


def _xds_cluster(host: str, port: int) -> dict[str, Any]:
    http2 = {"connection_keepalive": {"interval": PING_INTERVAL, "timeout": PING_TIMEOUT}}
    return _cluster(XDS_CLUSTER, host, port) | {
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {
                "@type": f"type.googleapis.com/{HTTP_OPTIONS}",
                "explicit_http_config": {"http2_protocol_options": http2},
            }
        }
    }


def _local_cluster() -> dict[str, Any]:
    return {
        "name": LOCAL_CLUSTER,
        "type": "EDS",
        "connect_timeout": CONNECT_TIMEOUT,
        "eds_cluster_config": {"service_name": LOCAL_CLUSTER, "eds_config": _from_ads()},
    }


def _cluster(name: str, host: str, port: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC" if _is_ip(host) else "STRICT_DNS",
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(host, port)}}]}],
        },
    }


def _door(name: str, address: str, port: int, pages: Mapping[str, str]) -> dict[str, Any]:
    """A listener that serves some pages of the admin port, by their paths here and there, and nothing else of it."""
    routes = [
        {"match": {"path": path}, "route": {"cluster": ADMIN_CLUSTER, "prefix_rewrite": page}}
        for path, page in pages.items()
    ]
    manager = {
        "@type": f"{API}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "route_config": {"virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{API}.filters.http.router.v3.Router"},
            }
        ],
    }
    return {
        "name": name,
        "address": _address(address, port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
