"""One Envoy bootstrap of all cases of a topic: a listener per kind of connection manager, a virtual host per case."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from tests.oracle.case import CLUSTER, PORT, Case, Up

ALIVE_HOST = "alive.oracle"
TYPE = "type.googleapis.com/"
HCM_TYPE = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP_TYPE = TYPE + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
FILE_LOG_TYPE = TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"},
}
LOG_FORMAT = {
    "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "flags": "%RESPONSE_FLAGS%",
    "code": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "termination": "%CONNECTION_TERMINATION_DETAILS%",
    "failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "route": "%ROUTE_NAME%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "upstream": "%UPSTREAM_HOST%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "authority": "%REQ(:AUTHORITY)%",
    "protocol": "%PROTOCOL%",
}


def listener_key(case: Case) -> str:
    """Cases with the same key share a listener."""
    if case.tcp is not None:
        return f"tcp {case.name}"
    log = [case.log, case.log_fields, case.log_format]
    return json.dumps([case.hcm, case.filters, log, case.chains, case.listener], sort_keys=True)


def build(
    cases: Sequence[Case], listeners: Mapping[str, int], endpoints: Mapping[str, int], admin: int, log: str
) -> dict[str, Any]:
    """The bootstrap: `listeners` gives a port for each listener key, `endpoints` one for each endpoint word."""
    by_listener: dict[str, list[Case]] = {}
    for case in cases:
        by_listener.setdefault(listener_key(case), []).append(case)
    local = next((cluster_name(case) for case in cases if case.local), None)
    made = {
        "node": {"id": "oracle", "cluster": "oracle", "locality": {"zone": "home"}},
        **({"cluster_manager": {"local_cluster_name": local}} if local else {}),
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [
                _listener(f"listener_{number}", listeners[key], group, log)
                for number, (key, group) in enumerate(by_listener.items())
            ],
            "clusters": [
                _cluster(cluster_name(case, suffix), up, endpoints)
                for case in cases
                for suffix, up in case.clusters.items()
            ],
        },
    }
    return _with_ports(made, endpoints)


def _with_ports(value: Any, endpoints: Mapping[str, int]) -> Any:
    """The placeholders of ports replaced; what is None is left out."""
    if isinstance(value, Mapping):
        return {key: _with_ports(each, endpoints) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_with_ports(each, endpoints) for each in value]
    if isinstance(value, str) and (found := PORT.fullmatch(value)):
        return endpoints[found[1]]
    return value


def cluster_name(case: Case, suffix: str = "") -> str:
    return f"{case.name}{suffix}"


def fill(value: Any, case: Case) -> Any:
    """The configuration fragment with the cluster's placeholder replaced."""
    return json.loads(json.dumps(value).replace(CLUSTER, cluster_name(case)))


def _listener(name: str, port: int, cases: Sequence[Case], log: str) -> dict[str, Any]:
    network = _connection_manager(name, cases, log) if cases[0].tcp is None else _tcp_proxy(name, cases[0], log)
    case, chains = cases[0], [{"filters": [network]}]
    if case.chains:
        chains = [
            {"name": key, "filter_chain_match": match, "filters": [network]} for key, match in case.chains.items()
        ]
    return {"name": name, "address": _address(port), "filter_chains": chains, **case.listener}


def _tcp_proxy(name: str, case: Case, log: str) -> dict[str, Any]:
    proxy = {"cluster": CLUSTER, **(case.tcp or {})}
    cluster = {key: value for key, value in proxy.items() if value is not None}
    typed = {"@type": TCP_TYPE, "stat_prefix": name, "access_log": [_access_log(log, case)], **fill(cluster, case)}
    return {"name": "envoy.filters.network.tcp_proxy", "typed_config": typed}


def _access_log(path: str, case: Case) -> dict[str, Any]:
    log_format = {"json_format": {**LOG_FORMAT, **case.log}, **case.log_format}
    typed = {"@type": FILE_LOG_TYPE, "path": path, "log_format": log_format}
    return {"name": "envoy.access_loggers.file", "typed_config": typed, **case.log_fields}


def _connection_manager(name: str, cases: Sequence[Case], log: str) -> dict[str, Any]:
    alive = {
        "name": "alive",
        "domains": [ALIVE_HOST],
        "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
    }
    hcm: dict[str, Any] = {
        "@type": HCM_TYPE,
        "stat_prefix": name,
        "delayed_close_timeout": "0.1s",
        "access_log": [_access_log(log, cases[0])],
        "http_filters": [*cases[0].filters, ROUTER],
        "route_config": {
            "name": "routes",
            "validate_clusters": False,  # there are cases of routes to clusters that do not exist
            "virtual_hosts": [alive, *(_virtual_host(case) for case in cases)],
        },
        **cases[0].hcm,
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}


def _virtual_host(case: Case) -> dict[str, Any]:
    routes = case.routes
    if routes is None:
        action = {key: value for key, value in {"cluster": CLUSTER, **case.action}.items() if value is not None}
        routes = [{"name": f"route-{case.name}", "match": {"prefix": "/"}, "route": action, **case.route}]
    host: dict[str, Any] = fill({"domains": [case.host], "routes": list(routes), **case.vhost}, case)
    return {"name": case.name, **host}


def _cluster(name: str, up: Up, endpoints: Mapping[str, int]) -> dict[str, Any]:
    groups: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for word, fields, priority, zone in zip_longest(up.endpoints, up.lb, up.priorities, up.zones):
        endpoint = {"address": _address(endpoints[word]), **(fields or {}).get("endpoint", {})}
        groups.setdefault((priority or 0, zone or ""), []).append({**(fields or {}), "endpoint": endpoint})
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [_group(*key, up, groups[key]) for key in sorted(groups)],
            **({"policy": up.policy} if up.policy else {}),
        },
        **up.fields,
    }


def _group(priority: int, zone: str, up: Up, endpoints: Sequence[dict[str, Any]]) -> dict[str, Any]:
    group: dict[str, Any] = {"priority": priority, "lb_endpoints": endpoints}
    if zone:
        group["locality"] = {"zone": zone}
    if zone in up.zone_weights:
        group["load_balancing_weight"] = up.zone_weights[zone]
    return group


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
