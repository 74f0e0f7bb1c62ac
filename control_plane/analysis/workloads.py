"""Workloads: whether they have a sidecar, and can have one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from control_plane.analysis.codes import (
    APPLICATION_UID,
    CALLER_WITHOUT_SIDECAR,
    LOCALHOST_LISTENER,
    MISSING_PROXY,
    PROXY_VERSIONS,
)
from control_plane.analysis.examined import TEMPLATES, Examined, labels_text, listed
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.messages import is_loopback
from mesh.istio.model import Path
from mesh.istio.resource import Key, Resource
from mesh.istio.virtual_service import MESH_GATEWAY
from mesh.naming import service_host
from mesh.version import AGENT_NAME, VERSION

_OURS: Final = f"{AGENT_NAME} {VERSION}"
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


def proxy_versions(seen: Examined) -> Iterator[Finding]:
    """Sidecars of ours that are of another version than the control plane."""
    others: dict[str, list[str]] = {}
    for node in seen.nodes:
        if node.agent.startswith(f"{AGENT_NAME} ") and node.agent != _OURS:
            others.setdefault(node.namespace, []).append(f"{node.name} ({node.agent.partition(' ')[2]})")
    for namespace in sorted(others):
        message = (
            "The Istio proxy images of the pods running in the namespace do not match the image defined in the injection "
            f"configuration (pod names: {listed(sorted(others[namespace]))}). This often happens after upgrading the Istio "
            f"control-plane and can be fixed by redeploying the pods. (The control plane is {VERSION}.)"
        )
        yield Finding(PROXY_VERSIONS, Key("Namespace", namespace, namespace), "", message)


def localhost_endpoints(seen: Examined) -> Iterator[Finding]:
    """Endpoints that are declared at a loopback address, where proxies are on other machines: to each of them that is
    itself."""
    if all(is_loopback(node.address) for node in seen.nodes):
        return
    for kind in ("ServiceEntry", "EndpointSlice", "WorkloadEntry"):
        for resource in seen.of(kind):
            for path, address, ports in _declared(resource):
                if is_loopback(address):
                    message = (
                        f"Port {ports} is exposed in a Service but listens on localhost. It will not be exposed to other "
                        f"pods. (For each proxy {address} is its own machine.)"
                    )
                    yield finding(LOCALHOST_LISTENER, resource, path, message)


def _declared(resource: Resource) -> Iterator[tuple[Path, str, str]]:
    """Each declared endpoint: its place, its address, its ports."""
    spec: Any = resource.spec
    if resource.key.kind == "WorkloadEntry":
        yield ("spec", "address"), spec.address, ", ".join(map(str, spec.ports.values())) or "of it"
    elif resource.key.kind == "ServiceEntry":
        ports = ", ".join(str(port.number) for port in spec.ports)
        for index, each in enumerate(spec.endpoints):
            yield ("spec", "endpoints", index, "address"), each.address, ports
    else:
        ports = ", ".join(str(port.port) for port in spec.ports)
        for index, each in enumerate(spec.endpoints):
            for position, address in enumerate(each.addresses):
                yield ("endpoints", index, "addresses", position), address, ports
