"""What connection managers and TCP proxies report: access logs and traces."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, AndFilter, ComparisonFilter, OrFilter
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate.cluster_policy import Spoken, apply_policy, set_http_options
from control_plane.translate.messages import address, duration, is_ip
from control_plane.translate.policy import DEFAULT
from control_plane.translate.viewer import Audience
from control_plane.world import AccessLogEncoding, MeshConfig
from mesh.access_log import ISTIO_JSON, ISTIO_TEXT
from mesh.istio.telemetry import Comparison, parse_expression
from mesh.node import Node
from mesh.xds import any_of

OTLP_CLUSTER: Final = "opentelemetry"
_OTLP_PORTS: Final = {"http": 4318, "https": 443, "grpc": 4317}
_OTLP_TIMEOUT: Final = 5.0


def access_logs(mesh: MeshConfig) -> list[Any]:
    """The access log of every listener, or none."""
    if not mesh.access_log_file:
        return []
    log = FileAccessLog(path=mesh.access_log_file)
    if mesh.access_log_encoding is AccessLogEncoding.JSON:
        log.log_format.json_format.update(ISTIO_JSON)
    else:
        log.log_format.text_format_source.inline_string = mesh.access_log_format or ISTIO_TEXT
    return [AccessLog(name="envoy.access_loggers.file", typed_config=any_of(log), filter=_log_filter(mesh))]


def _log_filter(mesh: MeshConfig) -> Any:
    """Which requests are logged; None for all."""
    alternatives = parse_expression(mesh.access_log_filter) if mesh.access_log_filter else None
    if alternatives is None:
        return None
    return _any_of([_all_of([each for c in part for each in _compared(c)]) for part in alternatives])


def _any_of(filters: list[Any]) -> Any:
    return filters[0] if len(filters) == 1 else AccessLogFilter(or_filter=OrFilter(filters=filters))


def _all_of(filters: list[Any]) -> Any:
    return filters[0] if len(filters) == 1 else AccessLogFilter(and_filter=AndFilter(filters=filters))


def _compared(comparison: Comparison) -> list[Any]:
    """Envoy compares for equal, at least and at most only."""
    operator, number = comparison
    if operator == "!=":
        return [_any_of([_status("LE", number - 1), _status("GE", number + 1)])]
    envoys = {"==": ("EQ", 0), ">=": ("GE", 0), "<=": ("LE", 0), ">": ("GE", 1), "<": ("LE", -1)}
    name, shift = envoys[operator]
    return [_status(name, max(0, number + shift))]


def _status(operator: str, number: int) -> Any:
    found = AccessLogFilter()
    comparison = found.status_code_filter.comparison
    comparison.op = ComparisonFilter.Op.Value(operator)
    comparison.value.default_value = max(0, number)
    comparison.value.runtime_key = "access_log.status"
    return found


# ── traces ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tracing(mesh: MeshConfig, node: Node) -> Any:
    """The tracing of a connection manager, or None. Without an endpoint there is no provider: ours keep their last spans
    to themselves, an Envoy makes none."""
    if not mesh.enable_tracing:
        return None
    out = HttpConnectionManager.Tracing()
    out.client_sampling.value = 100
    out.random_sampling.value = mesh.sampling
    out.overall_sampling.value = 100
    for tag, value in _tags(node).items():
        custom = out.custom_tags.add(tag=tag)
        custom.literal.value = value
    for tag, (kind, value, default) in mesh.tags:
        custom = out.custom_tags.add(tag=tag)
        if kind == "literal":
            custom.literal.value = value
        else:
            custom.request_header.name, custom.request_header.default_value = value, default
    if mesh.otlp_endpoint:
        provider = OpenTelemetryConfig(service_name=node.to_xds()["cluster"])
        if mesh.otlp_endpoint.startswith("grpc://"):
            provider.grpc_service.envoy_grpc.cluster_name = OTLP_CLUSTER
            provider.grpc_service.timeout.CopyFrom(duration(_OTLP_TIMEOUT))
        else:
            uri = provider.http_service.http_uri
            uri.uri, uri.cluster = mesh.otlp_endpoint, OTLP_CLUSTER
            uri.timeout.CopyFrom(duration(_OTLP_TIMEOUT))
        out.provider.name = "envoy.tracers.opentelemetry"
        out.provider.typed_config.CopyFrom(any_of(provider))
    return out


def _tags(node: Node) -> dict[str, str]:
    tags = {
        "istio.canonical_revision": node.canonical_revision,
        "istio.canonical_service": node.canonical_service or "unknown",
        "istio.cluster_id": node.cluster_id,
        "istio.mesh_id": node.mesh_id,
        "istio.namespace": node.namespace,
    }
    return {tag: value for tag, value in tags.items() if value}


def otlp_cluster(mesh: MeshConfig) -> Any:
    """The cluster that spans are sent to."""
    parts = urlsplit(mesh.otlp_endpoint)
    host = parts.hostname or ""
    cluster = Cluster(name=OTLP_CLUSTER, type=Cluster.STATIC if is_ip(host) else Cluster.STRICT_DNS)
    cluster.load_assignment.cluster_name = OTLP_CLUSTER
    endpoint = cluster.load_assignment.endpoints.add().lb_endpoints.add().endpoint
    endpoint.address.CopyFrom(address(host, parts.port or _OTLP_PORTS.get(parts.scheme, 80)))
    apply_policy(cluster, DEFAULT, mesh, Audience.GATEWAY)
    if parts.scheme == "grpc":
        set_http_options(cluster, Spoken.HTTP2)
    return cluster
