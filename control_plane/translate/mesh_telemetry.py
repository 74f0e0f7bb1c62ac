"""Telemetry resources → the mesh's settings as they are for one workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from control_plane.world import MeshConfig, MetricChange
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
}


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
    for resource in resources:
        for logging in resource.spec.access_logging:
            if logging.match.covers(side):
                mesh = _log(mesh, logging)
        for tracing in resource.spec.tracing:
            if tracing.match.covers(side):
                mesh = _trace(mesh, tracing)
        for metrics in resource.spec.metrics:
            for override in metrics.overrides:
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


def _log(mesh: MeshConfig, logging: AccessLogging) -> MeshConfig:
    file = "" if logging.disabled else mesh.access_log_file or "/dev/stdout"
    return replace(mesh, access_log_file=file, access_log_filter=logging.filter.expression if logging.filter else "")


def _trace(mesh: MeshConfig, tracing: Tracing) -> MeshConfig:
    if tracing.disable_span_reporting is not None:
        mesh = replace(mesh, enable_tracing=not tracing.disable_span_reporting)
    if tracing.random_sampling_percentage is not None:
        mesh = replace(mesh, sampling=tracing.random_sampling_percentage)
    if tracing.enable_istio_tags is not None:
        mesh = replace(mesh, istio_tags=tracing.enable_istio_tags)
    return replace(mesh, tags=tags_with(mesh.tags, tracing.custom_tags))


def tags_with(tags: Tags, more: Mapping[str, CustomTag]) -> Tags:
    """Tags of spans, and others that come before them."""
    found = dict(tags)
    for name, tag in more.items():
        if tag.literal is not None:
            found[name] = ("literal", tag.literal.value, "")
        elif tag.environment is not None:
            found[name] = ("environment", tag.environment.name, tag.environment.default_value)
        elif tag.header is not None:
            found[name] = ("header", tag.header.name, tag.header.default_value)
    return tuple(sorted(found.items()))
