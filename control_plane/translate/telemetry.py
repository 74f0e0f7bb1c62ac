"""What connection managers and TCP proxies report: access logs, metrics and traces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, ExtensionFilter
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import INBOUND
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.access_loggers.filters.cel.v3.cel_pb2 import ExpressionFilter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy.extensions.formatter.metadata.v3.metadata_pb2 import Metadata
from envoy.extensions.formatter.req_without_query.v3.req_without_query_pb2 import ReqWithoutQuery
from xds.type.v3.typed_struct_pb2 import TypedStruct

from control_plane.translate.cluster_policy import Spoken, apply_policy, set_http_options
from control_plane.translate.index import Index
from control_plane.translate.mesh_telemetry import TCP_METRICS
from control_plane.translate.messages import TCP_PROXY, address, duration, is_ip
from control_plane.translate.policy import DEFAULT
from control_plane.translate.providers import file_logs
from control_plane.translate.viewer import Audience
from control_plane.world import Collector, FileLog, MeshConfig, MetricChange
from mesh.access_log import ISTIO_JSON, ISTIO_TEXT
from mesh.naming import outbound_cluster
from mesh.node import Node
from mesh.xds import any_of

OTLP_CLUSTER: Final = "opentelemetry"
STATS_FILTER: Final = "istio.stats"
STATS_CONFIG: Final = "type.googleapis.com/stats.PluginConfig"
# Commands that an Envoy knows with a formatter only, and that.
_FORMATTERS: Final = {
    "%REQ_WITHOUT_QUERY": ("envoy.formatter.req_without_query", any_of(ReqWithoutQuery())),
    "%METADATA": ("envoy.formatter.metadata", any_of(Metadata())),
}
_OTLP_PORTS: Final = {"http": 4318, "https": 443, "grpc": 4317}
_OTLP_TIMEOUT: Final = 5.0


def access_logs(mesh: MeshConfig) -> list[Any]:
    """The access logs of every listener."""
    return [_file_log(log) for log in file_logs(mesh)]


def _file_log(said: FileLog) -> Any:
    log = FileAccessLog(path=said.path)
    made = log.log_format
    if said.labels is not None:
        made.json_format.update(said.labels or ISTIO_JSON)
        commands = str(said.labels)
    else:
        commands = made.text_format_source.inline_string = _line(said.text)
    made.omit_empty_values = said.omit_empty
    for command, formatter in _FORMATTERS.items():
        if command in commands:
            made.formatters.add(name=formatter[0], typed_config=formatter[1])
    return AccessLog(name="envoy.access_loggers.file", typed_config=any_of(log), filter=_log_filter(said.filter))


def _line(text: str) -> str:
    """A format ends its line, whether or not that was written."""
    return text if text.endswith("\n") else f"{text}\n" if text else ISTIO_TEXT


def _log_filter(expression: str) -> Any:
    """Which requests are logged; None for all."""
    if not expression:
        return None
    extension = ExtensionFilter(
        name="envoy.access_loggers.extension_filters.cel",
        typed_config=any_of(ExpressionFilter(expression=expression)),
    )
    return AccessLogFilter(extension_filter=extension)


# ── metrics ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def stats_filters(mesh: MeshConfig) -> list[Any]:
    """Istio's statistics filter of requests, where their metrics are to be other than usual. A plain Envoy, which does not
    have it, passes it over: it is optional."""
    rows = _rows(metric for metric in mesh.metrics if metric.name not in TCP_METRICS)
    if not rows:
        return []
    return [HttpFilter(name=STATS_FILTER, typed_config=_stats({"metrics": rows}), is_optional=True)]


def with_session_stats(listeners: Mapping[str, Any], mesh: MeshConfig, node: Node) -> Mapping[str, Any]:
    """The listeners of a proxy with Istio's statistics filter of TCP sessions, where their metrics are to be other than
    usual. No network filter is optional: only those proxies get it that say that they have it."""
    if node.has_stats:
        for listener in listeners.values():
            side = mesh.inbound if listener.traffic_direction == INBOUND else mesh
            config: dict[str, Any] = {}
            if rows := _rows(metric for metric in side.metrics if metric.name in TCP_METRICS):
                config["metrics"] = rows
            if side.report_interval:
                config["tcp_reporting_duration"] = f"{side.report_interval:g}s"
            if config:
                _add_first(listener, Filter(name=STATS_FILTER, typed_config=_stats(config)))
    return listeners


def _add_first(listener: Any, stats: Any) -> None:
    """Into each chain of TCP sessions."""
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        if chain.filters and chain.filters[-1].name == TCP_PROXY:
            chain.filters.insert(0, stats)


def _stats(config: Mapping[str, Any]) -> Any:
    made = TypedStruct(type_url=STATS_CONFIG)
    made.value.update(config)
    return any_of(made)


def _rows(metrics: Iterable[MetricChange]) -> list[dict[str, Any]]:
    rows = []
    for metric in metrics:
        row: dict[str, Any] = {"name": metric.name}
        if dimensions := {tag: value for tag, value in metric.tags if value is not None}:
            row["dimensions"] = dimensions
        if removed := [tag for tag, value in metric.tags if value is None]:
            row["tags_to_remove"] = removed
        if metric.drop:
            row["drop"] = True
        rows.append(row)
    return rows


# ── traces ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def tracing(index: Index, mesh: MeshConfig, node: Node) -> Any:
    """The tracing of a connection manager, or None. Without an endpoint there is no provider: ours keep their last spans
    to themselves, an Envoy makes none."""
    if not mesh.enable_tracing:
        return None
    out = HttpConnectionManager.Tracing()
    out.client_sampling.value = 100
    out.random_sampling.value = mesh.sampling
    out.overall_sampling.value = 100
    for tag, value in _tags(node).items() if mesh.istio_tags else ():
        custom = out.custom_tags.add(tag=tag)
        custom.literal.value = value
    for tag, (kind, value, default) in mesh.tags:
        custom = out.custom_tags.add(tag=tag)
        if kind == "literal":
            custom.literal.value = value
        elif kind == "formatter":
            custom.value = value
        elif kind == "environment":
            custom.environment.name, custom.environment.default_value = value, default
        else:
            custom.request_header.name, custom.request_header.default_value = value, default
    collected = mesh.collector.tag_length if mesh.collector is not None else 0
    if length := collected or mesh.path_tag_length:
        out.max_path_tag_length.value = length
    if (target := _target(index, mesh)) is not None:
        out.provider.name = "envoy.tracers.opentelemetry"
        out.provider.typed_config.CopyFrom(any_of(_exporter(node, target)))
    return out


class _Target(NamedTuple):
    """Where spans go: to a cluster, over HTTP if there is a URI, else over gRPC."""

    cluster: str
    uri: str
    timeout: float = _OTLP_TIMEOUT


def _target(index: Index, mesh: MeshConfig) -> _Target | None:
    if (collector := mesh.collector) is not None:
        return _collector_target(index, collector)
    if not mesh.otlp_endpoint:
        return None
    return _Target(OTLP_CLUSTER, "" if mesh.otlp_endpoint.startswith("grpc://") else mesh.otlp_endpoint)


def _collector_target(index: Index, collector: Collector) -> _Target | None:
    """None where there is no such service: spans that nobody takes are not sent."""
    service = index.service(collector.host)
    if service is None or collector.namespace not in ("", service.namespace):
        return None
    if all(port.number != collector.port for port in service.ports):
        return None
    uri = f"http://{service.host}:{collector.port}{collector.path}" if collector.path else ""
    return _Target(outbound_cluster(service.host, collector.port), uri, collector.timeout)


def _exporter(node: Node, target: _Target) -> Any:
    exporter = OpenTelemetryConfig(service_name=node.to_xds()["cluster"])
    if target.uri:
        uri = exporter.http_service.http_uri
        uri.uri, uri.cluster = target.uri, target.cluster
        uri.timeout.CopyFrom(duration(target.timeout))
    else:
        exporter.grpc_service.envoy_grpc.cluster_name = target.cluster
        exporter.grpc_service.timeout.CopyFrom(duration(target.timeout))
    return exporter


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
