"""Telemetry resources → the mesh's settings as they are for one workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from control_plane.translate.providers import BUILT_IN_LOG, file_log, provider_of
from control_plane.world import Collector, FileLog, MeshConfig, Metered, MetricChange
from mesh.istio.telemetry import AccessLogging, CustomTag, IstioMetric, MetricsOverride, Tracing, WorkloadMode
from mesh.node import Node

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

Tags = tuple[tuple[str, tuple[str, str, str]], ...]

# Istio's names for its metrics, and those of its statistics filter.
METRICS: Final = {
    IstioMetric.REQUEST_COUNT: "requests_total",
    IstioMetric.REQUEST_DURATION: "request_duration_milliseconds",
    IstioMetric.REQUEST_SIZE: "request_bytes",
    IstioMetric.RESPONSE_SIZE: "response_bytes",
    IstioMetric.GRPC_REQUEST_MESSAGES: "request_messages_total",
    IstioMetric.GRPC_RESPONSE_MESSAGES: "response_messages_total",
    IstioMetric.TCP_OPENED_CONNECTIONS: "tcp_connections_opened_total",
    IstioMetric.TCP_CLOSED_CONNECTIONS: "tcp_connections_closed_total",
    IstioMetric.TCP_SENT_BYTES: "tcp_sent_bytes_total",
    IstioMetric.TCP_RECEIVED_BYTES: "tcp_received_bytes_total",
}
TCP_METRICS: Final = frozenset(name for metric, name in METRICS.items() if metric.value.startswith("TCP_"))


def for_node(resources: Iterable[Resource], node: Node, root: str) -> tuple[Resource, ...]:
    """The Telemetry resources that are for a proxy, the farthest first: of the root namespace, of its own, of itself; of
    one place the oldest is the only one."""
    nearness: dict[int, Resource] = {}
    for resource in resources:
        labels = resource.spec.labels
        if not labels.items() <= node.labels.items():
            continue
        if resource.key.namespace == node.namespace:
            nearness.setdefault(2 if labels else 1, resource)
        elif resource.key.namespace == root and not labels:
            nearness.setdefault(0, resource)
    return tuple(nearness[place] for place in sorted(nearness))


def told(mesh: MeshConfig, resources: Iterable[Resource]) -> MeshConfig:
    """The settings after what each of the resources says, in their order; of both sides, if they differ."""
    resources = tuple(resources)
    asks, asked = (_of_side(mesh, resources, side) for side in (WorkloadMode.CLIENT, WorkloadMode.SERVER))
    return asks if asks == asked else replace(asks, asked=asked)


def _of_side(mesh: MeshConfig, resources: Iterable[Resource], side: WorkloadMode) -> MeshConfig:
    changes: dict[str, MetricChange] = {}
    mesh = replace(mesh, logs=_logs(mesh, [resource.spec.access_logging for resource in resources], side))
    for resource in resources:
        for tracing in resource.spec.tracing:
            if tracing.match.covers(side):
                mesh = _trace(mesh, tracing)
        for metrics in resource.spec.metrics:
            named = [provider_of(mesh, each.name) for each in metrics.providers]
            about_ours = not named or any(isinstance(each, Metered) for each in named)
            if about_ours and metrics.reporting_interval is not None:
                mesh = replace(mesh, report_interval=metrics.reporting_interval)
            for override in metrics.overrides if about_ours else ():
                if override.match.covers(side):
                    _change(changes, override)
    return replace(mesh, metrics=tuple(changes[name] for name in sorted(changes)))


def _change(changes: dict[str, MetricChange], override: MetricsOverride) -> None:
    """Adds an override to what those before have changed."""
    chosen = override.match.metric
    for metric, name in METRICS.items():
        if chosen not in (metric, IstioMetric.ALL_METRICS):
            continue
        before = changes.get(name, MetricChange(name))
        tags = {**dict(before.tags), **{tag: each.value for tag, each in override.tag_overrides.items()}}
        drop = before.drop if override.disabled is None else override.disabled
        changes[name] = MetricChange(name, drop, tuple(sorted(tags.items())))


def _logs(
    mesh: MeshConfig, said: Sequence[tuple[AccessLogging, ...]], side: WorkloadMode
) -> tuple[FileLog, ...] | None:
    """The logs of a side. Of what the resources say, the farthest first, the nearest that names providers says which these
    are; a row that names none is about those before it. Of rows about one provider the last counts."""
    default = mesh.default_logs or (BUILT_IN_LOG,)
    wanted = default
    told: dict[str, AccessLogging] = {}
    for rows in said:
        for row in rows:
            default = tuple(each.name for each in row.providers) or default
            if row.match.covers(side):
                told.update(dict.fromkeys((name.lower() for name in default), row))
        named = tuple(each.name for row in rows if row.match.covers(side) for each in row.providers)
        wanted = named or wanted
    if not told:
        return mesh.logs
    logs = []
    for name in dict.fromkeys(each.lower() for each in wanted):
        log, last = file_log(mesh, name), told.get(name)
        if log is not None and last is not None and not last.disabled:
            logs.append(replace(log, filter=last.filter.expression if last.filter is not None else ""))
    return tuple(logs)


def _trace(mesh: MeshConfig, tracing: Tracing) -> MeshConfig:
    if tracing.providers and isinstance(provider := provider_of(mesh, tracing.providers[0].name), Collector):
        mesh = replace(mesh, collector=provider)
    if tracing.disable_span_reporting is not None:
        mesh = replace(mesh, enable_tracing=not tracing.disable_span_reporting)
    if tracing.random_sampling_percentage is not None:
        mesh = replace(mesh, sampling=tracing.random_sampling_percentage)
    if tracing.enable_istio_tags is not None:
        mesh = replace(mesh, istio_tags=tracing.enable_istio_tags)
    if tracing.use_request_id_for_trace_sampling is not None:
        mesh = replace(mesh, traced_by_request_id=tracing.use_request_id_for_trace_sampling)
    return replace(mesh, tags=span_tags(tracing.custom_tags)) if tracing.custom_tags else mesh


def span_tags(tags: Mapping[str, CustomTag]) -> Tags:
    """Those that a nearer resource has take the place of all that were there before."""
    found = {}
    for name, tag in tags.items():
        if tag.literal is not None:
            found[name] = ("literal", tag.literal.value, "")
        elif tag.environment is not None:
            found[name] = ("environment", tag.environment.name, tag.environment.default_value)
        elif tag.header is not None:
            found[name] = ("header", tag.header.name, tag.header.default_value)
        elif tag.formatter is not None:
            found[name] = ("formatter", tag.formatter.value, "")
    return tuple(sorted(found.items()))
