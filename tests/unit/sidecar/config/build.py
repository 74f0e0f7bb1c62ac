"""A small good bootstrap as plain data, with its parts at hand to be changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from mesh.errors import ConfigError
from sidecar.bootstrap import load
from sidecar.config.model import Bootstrap, Cluster, Hcm, Listener, Route

T = "type.googleapis.com/"
HCM = T + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = T + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
ROUTER = T + "envoy.extensions.filters.http.router.v3.Router"
FAULT = T + "envoy.extensions.filters.http.fault.v3.HTTPFault"
FILE_LOG = T + "envoy.extensions.access_loggers.file.v3.FileAccessLog"
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
OTEL = T + "envoy.config.trace.v3.OpenTelemetryConfig"
LB = T + "envoy.extensions.load_balancing_policies."

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parts:
    """The bootstrap and the messages in it that tests change."""

    bootstrap: Data
    static: Data
    listener: Data
    chain: Data
    hcm: Data
    routes: Data
    host: Data
    route: Data
    match: Data
    action: Data
    cluster: Data
    endpoint: Data


def address(port: int = 0, host: str = "127.0.0.1") -> Data:
    return {"socket_address": {"address": host, "port_value": port}}


def parts() -> Parts:
    """A fresh one: one listener, one route to one cluster with one endpoint."""
    endpoint: Data = {"endpoint": {"address": address(9)}}
    cluster: Data = {
        "name": "up",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    action: Data = {"cluster": "up"}
    match: Data = {"prefix": "/"}
    route: Data = {"match": match, "route": action}
    host: Data = {"name": "all", "domains": ["*"], "routes": [route]}
    routes: Data = {"name": "r", "virtual_hosts": [host]}
    hcm: Data = {
        "@type": HCM,
        "stat_prefix": "in",
        "route_config": routes,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    chain: Data = {"filters": [{"name": "hcm", "typed_config": hcm}]}
    listener: Data = {"name": "in", "address": address(), "filter_chains": [chain]}
    static: Data = {"listeners": [listener], "clusters": [cluster]}
    bootstrap: Data = {"admin": {"address": address()}, "static_resources": static}
    return Parts(bootstrap, static, listener, chain, hcm, routes, host, route, match, action, cluster, endpoint)


def copied(data: Data, **changes: Any) -> Data:
    """A deep copy with some fields changed."""
    return {**json.loads(json.dumps(data)), **changes}


def compiled(given: Parts) -> Bootstrap:
    return load("", json.dumps(given.bootstrap))


def hcm_of(given: Parts) -> Hcm:
    network = compiled(given).listeners[0].chains[0].network
    assert isinstance(network, Hcm)
    return network


def route_of(given: Parts) -> Route:
    routes = hcm_of(given).routes
    assert routes is not None
    return routes.virtual_hosts[0].routes[0]


def listener_of(given: Parts) -> Listener:
    return compiled(given).listeners[0]


def cluster_of(given: Parts) -> Cluster:
    return compiled(given).clusters[0]


def problems(given: Parts) -> list[str]:
    """What is wrong with it, as `last part of the field: message`; [] when nothing is."""
    try:
        compiled(given)
    except ConfigError as error:
        return [f"{problem.field.rpartition('.')[2]}: {problem.message}" for problem in error.problems]
    return []


def fields(given: Parts) -> list[str]:
    """The full paths of what is wrong."""
    try:
        compiled(given)
    except ConfigError as error:
        return [problem.field for problem in error.problems]
    return []
