"""Workloads: whether they have a sidecar, and can have one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from control_plane.analysis.codes import APPLICATION_UID, CALLER_WITHOUT_SIDECAR, MISSING_PROXY
from control_plane.analysis.examined import TEMPLATES, Examined, labels_text
from control_plane.analysis.finding import Finding, finding
from mesh.istio.model import Path
from mesh.istio.resource import Resource
from mesh.istio.virtual_service import MESH_GATEWAY
from mesh.naming import service_host

PROXY_UID: Final = 1337
_PROXY: Final = "istio-proxy"


def proxy_uid(seen: Examined) -> Iterator[Finding]:
    """An app that runs as the user whose traffic is not intercepted."""
    for kind in (*TEMPLATES, "Pod"):
        for resource in seen.of(kind):
            place: Path = ("spec",) if kind == "Pod" else ("spec", "template", "spec")
            spec: Any = resource.document
            for step in place:
                spec = spec.get(step, {}) if isinstance(spec, Mapping) else {}
            yield from _uids(resource, spec, place)


def _uids(resource: Resource, pod: Any, place: Path) -> Iterator[Finding]:
    message = f"User ID (UID) {PROXY_UID} is reserved for the sidecar proxy."
    if _runs_as(pod) == PROXY_UID:
        yield finding(APPLICATION_UID, resource, (*place, "securityContext", "runAsUser"), message)
    containers = pod.get("containers") if isinstance(pod, Mapping) else None
    for index, container in enumerate(containers if isinstance(containers, list) else ()):
        if _runs_as(container) == PROXY_UID and container.get("name") != _PROXY:
            path = (*place, "containers", index, "securityContext", "runAsUser")
            yield finding(APPLICATION_UID, resource, path, message)


def _runs_as(holder: Any) -> object:
    context = holder.get("securityContext") if isinstance(holder, Mapping) else None
    return context.get("runAsUser") if isinstance(context, Mapping) else None


def missing_proxies(seen: Examined) -> Iterator[Finding]:
    """Where proxies are connected, endpoints of the mesh's own services that none of them stands before: they are called
    without one, and what they call follows no rule."""
    if not seen.nodes:
        return
    for resource in seen.of("Service"):
        host = service_host(resource.key.name, resource.key.namespace)
        if not (resource.spec.selector or resource.spec.ports):
            continue
        bare = sorted(each.workload or each.address for each in seen.index.instances(host) if not each.meshed)
        for name in dict.fromkeys(bare):
            message = (
                f"The pod {name} is missing the Istio proxy. This can often be resolved by restarting or redeploying the "
                "workload. (It takes calls without a sidecar, and what it calls follows no rule.)"
            )
            yield finding(MISSING_PROXY, resource, ("spec",), message)


def unmeshed_callers(seen: Examined) -> Iterator[Finding]:
    """Where proxies are connected, rules for callers of which none has one: rules act in the caller's sidecar."""
    if not seen.nodes:
        return
    for resource in seen.of("VirtualService"):
        if resource.spec.gateways and MESH_GATEWAY not in resource.spec.gateways:
            continue
        for number, rule in enumerate(resource.spec.http):
            for position, match in enumerate(rule.match):
                labels = match.source_labels
                if not labels or any(labels.items() <= node.labels.items() for node in seen.nodes):
                    continue
                message = (
                    f"rules act in the caller's sidecar, and no caller with the labels {labels_text(labels)} has one: "
                    "this match is for nobody. Start it with `mesh run`, or beside a sidecar"
                )
                path = ("spec", "http", number, "match", position, "sourceLabels")
                yield finding(CALLER_WITHOUT_SIDECAR, resource, path, message)
