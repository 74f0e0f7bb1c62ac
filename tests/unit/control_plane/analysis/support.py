"""Analyses of a text, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from control_plane.analysis.finding import Finding
from control_plane.analysis.texts import analyse_kinds
from control_plane.registry.workload import Workload
from mesh.istio.load import load
from mesh.istio.resource import Resource
from mesh.node import Node


def document(kind: str, name: str, spec: str, **metadata: str) -> str:
    """A document of a kind, its spec in one line; `metadata` are more of its lines."""
    versions = {
        "Service": "v1",
        "Pod": "v1",
        "Deployment": "apps/v1",
        "Telemetry": "telemetry.istio.io/v1",
        "EnvoyFilter": "networking.istio.io/v1alpha3",
    }
    more = "".join(f", {key}: {value}" for key, value in metadata.items())
    version = versions.get(kind, "networking.istio.io/v1")
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}{more}}}\nspec: {spec}\n"


def deployment(
    name: str, labels: str, *, replicas: int = 1, pod: str = "containers: []", annotations: str = "{}"
) -> str:
    template = f"template: {{metadata: {{labels: {{{labels}}}, annotations: {annotations}}}, spec: {{{pod}}}}}"
    return document(
        "Deployment", name, f"{{replicas: {replicas}, selector: {{matchLabels: {{{labels}}}}}, {template}}}"
    )


def analysed(
    *documents: str, nodes: Sequence[Node] = (), calls: Mapping[str, Sequence[str]] | None = None
) -> list[Finding]:
    kinds: dict[str, tuple[Resource, ...]] = {}
    for resource in load("---\n".join(documents), "f.yaml"):
        kinds[resource.key.kind] = (*kinds.get(resource.key.kind, ()), resource)
    return analyse_kinds(kinds, [Workload(node) for node in nodes], calls)


def codes(*documents: str, nodes: Sequence[Node] = ()) -> list[tuple[str, str]]:
    """(code, resource's name) of everything that is said."""
    return [(found.code.number, found.key.name) for found in analysed(*documents, nodes=nodes)]


REVIEWS = document("Service", "reviews", "{selector: {app: reviews}, ports: [{name: http, port: 9080}]}")
RATINGS = document("Service", "ratings", "{selector: {app: ratings}, ports: [{name: http, port: 9080}]}")


def route(*rules: str, name: str = "rules", host: str = "reviews") -> str:
    return document("VirtualService", name, f"{{hosts: [{host}], http: [{', '.join(rules)}]}}")


TO_REVIEWS = "route: [{destination: {host: reviews}}]"
