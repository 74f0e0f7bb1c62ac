"""Bootstraps that both proxies read: what a case is measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TYPE = "type.googleapis.com/"
HCM_TYPE = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"},
}
RETRY = {"retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes", "num_retries": 2}
OUTLIER = {"consecutive_5xx": 5, "interval": "10s", "base_ejection_time": "30s", "max_ejection_percent": 100}
VIRTUAL_HOSTS = 200
HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": TYPE + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}
MESH_CLUSTERS = 20  # connections to the upstream are clients × clusters


@dataclass(frozen=True, slots=True)
class Ports:
    """`upstream` answers; `log` is a path."""

    listener: int
    admin: int
    upstream: int
    log: str


def bootstrap(ports: Ports, hcm: Mapping[str, Any], clusters: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    typed = {"@type": HCM_TYPE, "stat_prefix": "bench", "http_filters": [ROUTER], **hcm}
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": typed}]}
    listener = {
        "name": "bench",
        "traffic_direction": "OUTBOUND",
        "address": address(ports.listener),
        "filter_chains": [chain],
    }
    return {
        "node": {
            "id": "sidecar~127.0.0.1~bench.default~default.svc.cluster.local",
            "cluster": "bench.default",
            "metadata": {
                "NAME": "bench",
                "NAMESPACE": "default",
                "WORKLOAD_NAME": "bench",
                "CLUSTER_ID": "Kubernetes",
                "LABELS": {"app": "bench", "version": "v1"},
            },
        },
        "admin": {"address": address(ports.admin)},
        "static_resources": {"listeners": [listener], "clusters": list(clusters)},
    }


def address(port: int, host: str = "127.0.0.1") -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _loopback(number: int) -> str:
    return f"127.0.{number // 250}.{number % 250 + 1}"


def cluster(
    name: str, port: int, endpoints: int = 1, policy: str = "LEAST_REQUEST", first: int = 0, *, http2: bool = False
) -> dict[str, Any]:
    """A cluster of so many endpoints from the `first` address on: the upstream listens on all of 127.0.0.0/8."""
    numbers = range(first, first + endpoints)
    hosts = [{"endpoint": {"address": address(port, _loopback(number))}} for number in numbers]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "lb_policy": policy,
        "outlier_detection": OUTLIER,
        "circuit_breakers": {
            "thresholds": [{"max_connections": 10000, "max_pending_requests": 20000, "max_requests": 20000}]
        },
        **({"typed_extension_protocol_options": HTTP2} if http2 else {}),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
    }


def plain(ports: Ports, *, http2: bool = False, timeout: str = "15s") -> dict[str, Any]:
    """One route, a retry policy, outlier detection; no log. With `http2` hosts speak HTTP/2; clients may in any case."""
    action = {"cluster": "upstream", "retry_policy": RETRY, "timeout": timeout}
    route = {"match": {"prefix": "/"}, "route": action}
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    hcm = {"route_config": {"name": "routes", "virtual_hosts": hosts}}
    return bootstrap(ports, hcm, [cluster("upstream", ports.upstream, http2=http2)])


def mesh(ports: Ports, *, http2: bool = False, log: bool = True, traced: float | None = 1.0) -> dict[str, Any]:
    """What a sidecar of a mesh does: many hosts and routes, header operations, JSON log, tracing of one in a hundred.
    `traced` are percents, or None for no tracing at all."""
    clusters = [cluster(mesh_cluster(number), ports.upstream, http2=http2) for number in range(MESH_CLUSTERS)]
    hosts = [_mesh_host(number) for number in range(VIRTUAL_HOSTS)]
    tracer = {
        "name": "envoy.tracers.opentelemetry",
        "typed_config": {
            "@type": TYPE + "envoy.config.trace.v3.OpenTelemetryConfig",
            "service_name": "bench.default",
            "http_service": {
                "http_uri": {"uri": "http://collector.test/v1/traces", "cluster": "collector", "timeout": "1s"}
            },
        },
    }
    hcm = {
        "access_log": [_json_log(ports.log)] if log else [],
        **({"tracing": {"random_sampling": {"value": traced}, "provider": tracer}} if traced is not None else {}),
        "always_set_request_id_in_response": True,
        "route_config": {"name": "routes", "virtual_hosts": hosts},
    }
    return bootstrap(ports, hcm, [*clusters, cluster("collector", ports.upstream, http2=http2)])


def _mesh_host(number: int) -> dict[str, Any]:
    host = f"svc-{number}.default.svc.cluster.local"
    action = {"cluster": mesh_cluster(number % MESH_CLUSTERS), "retry_policy": RETRY, "timeout": "0s"}
    operations = {
        "request_headers_to_add": [{"header": {"key": "x-mesh-route", "value": host}}],
        "request_headers_to_remove": ["x-internal"],
        "response_headers_to_add": [{"header": {"key": "x-served-by", "value": "mesh"}}],
    }
    routes = [{"match": {"prefix": f"/api/v{version}/"}, "route": action, **operations} for version in range(1, 9)]
    jason = {"prefix": "/", "headers": [{"name": "end-user", "string_match": {"exact": "jason"}}]}
    routes.append({"match": jason, "route": action})
    routes.append({"match": {"prefix": "/"}, "route": action, **operations})
    names = [f"{host}:9080", host, f"svc-{number}.default", f"svc-{number}"]
    return {"name": f"{host}:9080", "domains": names, "routes": routes}


def mesh_cluster(number: int) -> str:
    return f"outbound|9080||svc-{number}.default.svc.cluster.local"


def _json_log(path: str) -> dict[str, Any]:
    """Istio's default fields."""
    fields = {
        "start_time": "%START_TIME%",
        "method": "%REQ(:METHOD)%",
        "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "protocol": "%PROTOCOL%",
        "response_code": "%RESPONSE_CODE%",
        "response_flags": "%RESPONSE_FLAGS%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%",
        "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
        "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
        "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%",
        "duration": "%DURATION%",
        "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
        "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
        "user_agent": "%REQ(USER-AGENT)%",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "authority": "%REQ(:AUTHORITY)%",
        "upstream_host": "%UPSTREAM_HOST%",
        "upstream_cluster": "%UPSTREAM_CLUSTER%",
        "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
        "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
        "requested_server_name": "%REQUESTED_SERVER_NAME%",
        "route_name": "%ROUTE_NAME%",
    }
    log_type = TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog"
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": {"@type": log_type, "path": path, "log_format": {"json_format": fields}},
    }
