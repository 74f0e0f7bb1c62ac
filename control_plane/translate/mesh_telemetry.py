"""Telemetry resources → the mesh's settings as they are for one workload."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from control_plane.world import MeshConfig
from mesh.istio.telemetry import AccessLogging, Tracing
from mesh.node import Node

if TYPE_CHECKING:
    from mesh.istio.resource import Resource


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
    """The settings after what each of the resources says, in their order."""
    for resource in resources:
        for logging in resource.spec.access_logging:
            mesh = _log(mesh, logging)
        for tracing in resource.spec.tracing:
            mesh = _trace(mesh, tracing)
    return mesh


def _log(mesh: MeshConfig, logging: AccessLogging) -> MeshConfig:
    file = "" if logging.disabled else mesh.access_log_file or "/dev/stdout"
    return replace(mesh, access_log_file=file, access_log_filter=logging.filter.expression if logging.filter else "")


def _trace(mesh: MeshConfig, tracing: Tracing) -> MeshConfig:
    if tracing.disable_span_reporting is not None:
        mesh = replace(mesh, enable_tracing=not tracing.disable_span_reporting)
    if tracing.random_sampling_percentage is not None:
        mesh = replace(mesh, sampling=tracing.random_sampling_percentage)
    tags = dict(mesh.tags)
    for name, tag in tracing.custom_tags.items():
        if tag.literal is not None:
            tags[name] = ("literal", tag.literal.value, "")
        elif tag.header is not None:
            tags[name] = ("header", tag.header.name, tag.header.default_value)
    return replace(mesh, tags=tuple(sorted(tags.items())))
