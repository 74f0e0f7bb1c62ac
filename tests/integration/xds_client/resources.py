"""Resources as a control plane would send them."""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.json_format import ParseDict

from sidecar.config.types import import_type

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
SOURCE = {"ads": {}, "resource_api_version": "V3"}


def cluster(name: str, **fields: Any) -> Any:
    data = {"name": name, "type": "EDS", "eds_cluster_config": {"eds_config": SOURCE}, **fields}
    return ParseDict(data, Cluster())


def endpoints(name: str, *ports: int) -> Any:
    hosts = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports
    ]
    return ParseDict({"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]}, ClusterLoadAssignment())


def listener(name: str, rds: str, port: int = 0, /, **hcm: Any) -> Any:
    import_type(HCM)
    import_type(ROUTER)
    manager = {
        "@type": f"type.googleapis.com/{HCM}",
        "stat_prefix": name,
        "rds": {"route_config_name": rds, "config_source": SOURCE},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"type.googleapis.com/{ROUTER}"}}
        ],
        **hcm,
    }
    data = {
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
    }
    return ParseDict(data, Listener())


def routes(name: str, to: str, **fields: Any) -> Any:
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": to}}],
    }
    return ParseDict({"name": name, "virtual_hosts": [host], **fields}, RouteConfiguration())


def by_vhds(name: str, **fields: Any) -> Any:
    """Its virtual hosts are resources."""
    return ParseDict({"name": name, "vhds": {"config_source": SOURCE}, **fields}, RouteConfiguration())


def answering(name: str, answer: str, *domains: str) -> Any:
    """A virtual host that answers by itself."""
    reply = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": answer}}}
    return ParseDict({"name": name, "domains": domains or ["*"], "routes": [reply]}, VirtualHost())
