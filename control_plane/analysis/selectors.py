"""Sidecars, Telemetries and others that select workloads: whether they select any, and each only once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from control_plane.analysis.codes import (
    CONFLICTING_SIDECARS,
    CONFLICTING_TELEMETRIES,
    NO_MATCHING_WORKLOADS,
    SETTINGS_NOT_USED,
    SIDECARS_FOR_ALL,
    TELEMETRIES_FOR_ALL,
    Code,
)
from control_plane.analysis.examined import Examined, Member, labels_text, listed
from control_plane.analysis.finding import Finding, finding
from control_plane.registry.selection import Selecting
from mesh.istio.model import Path
from mesh.istio.resource import Resource

_EXCLUSIVE: Final = (
    ("Sidecar", "Sidecars", CONFLICTING_SIDECARS, SIDECARS_FOR_ALL),
    ("Telemetry", "Telemetries", CONFLICTING_TELEMETRIES, TELEMETRIES_FOR_ALL),
)


def _sidecar(resource: Resource) -> Mapping[str, str]:
    selector: Mapping[str, str] = resource.spec.selector
    return selector


def _labels(resource: Resource) -> Mapping[str, str]:
    labels: Mapping[str, str] = resource.spec.labels
    return labels


def _service_entry(resource: Resource) -> Mapping[str, str]:
    selector = resource.spec.workload_selector
    return selector.labels if selector is not None else {}


def _callers(resource: Resource) -> Mapping[str, str]:
    selector = resource.spec.workload_selector
    return selector.match_labels if selector is not None else {}


# Kind → its selector, and where that stands.
_SELECTING: Final = {
    "Sidecar": (_sidecar, ("spec", "workloadSelector")),
    "Telemetry": (_labels, ("spec", "selector")),
    "EnvoyFilter": (_labels, ("spec", "workloadSelector")),
    "ServiceEntry": (_service_entry, ("spec", "workloadSelector")),
    "DestinationRule": (_callers, ("spec", "workloadSelector")),
}


def exclusive(seen: Examined) -> Iterator[Finding]:
    """Two for all workloads of a namespace, or two that select the same one: only one of them can hold."""
    distinct = _distinct(seen.members) if any(seen.of(kind) for kind, *_ in _EXCLUSIVE) else {}
    for kind, plural, conflicting, for_all in _EXCLUSIVE:
        select = _SELECTING[kind][0]
        namespaces: dict[str, list[Resource]] = {}
        for resource in seen.all(kind):
            namespaces.setdefault(resource.key.namespace, []).append(resource)
        asked = {resource.key for resource in seen.of(kind)}
        for namespace, resources in namespaces.items():
            if len(resources) > 1 and any(resource.key in asked for resource in resources):
                everybody = [resource for resource in resources if not select(resource)]
                yield from (f for f in _for_all(plural, for_all, namespace, everybody) if f.key in asked)
                picking = [(resource, select(resource)) for resource in resources if select(resource)]
                yield from (f for f in _twice(distinct, plural, conflicting, namespace, picking) if f.key in asked)


def _for_all(plural: str, code: Code, namespace: str, resources: list[Resource]) -> Iterator[Finding]:
    if len(resources) < 2:
        return
    names = listed([resource.key.name for resource in resources])
    message = (
        f'The {plural} {names} in namespace "{namespace}" have no workload selector, which can lead to undefined behavior. '
        f"(Here {resources[0].key.name} holds, the oldest.)"
    )
    for resource in resources:
        others = (resources[0].key,) if resource is not resources[0] else ()
        yield finding(code, resource, ("metadata", "name"), message, others)


def _twice(
    by_namespace: Mapping[str, Sequence[Member]],
    plural: str,
    code: Code,
    namespace: str,
    picking: list[tuple[Resource, Mapping[str, str]]],
) -> Iterator[Finding]:
    reported: set[str] = set()
    selecting = Selecting((namespace, selector, resource) for resource, selector in picking)
    for member in by_namespace.get(namespace, ()):
        found = selecting.of(namespace, member.labels)
        names = listed([resource.key.name for resource in found])
        if len(found) < 2 or names in reported:
            continue
        reported.add(names)
        message = (
            f'The {plural} {names} in namespace "{namespace}" select the same workload pod "{member.name}", '
            f"which can lead to undefined behavior. (Here {found[0].key.name} holds, the oldest.)"
        )
        for resource in found:
            yield finding(code, resource, ("spec",), message, (found[0].key,) if resource is not found[0] else ())


def _distinct(members: Iterable[Member]) -> dict[str, list[Member]]:
    """By namespace, one member for each set of labels."""
    found: dict[str, dict[frozenset[tuple[str, str]], Member]] = {}
    for member in members:
        found.setdefault(member.namespace, {}).setdefault(frozenset(member.labels.items()), member)
    return {namespace: list(by_labels.values()) for namespace, by_labels in found.items()}


def settings_of_all(seen: Examined) -> Iterator[Finding]:
    """A second MeshConfig: the older one's settings hold."""
    first, *others = seen.all("MeshConfig") or (None,)
    asked = {resource.key for resource in seen.of("MeshConfig")}
    for resource in others:
        if first is not None and resource is not None and resource.key in asked:
            message = (
                f"there is one mesh, and the older MeshConfig {first.key.namespace}/{first.key.name} says how it is"
            )
            yield finding(SETTINGS_NOT_USED, resource, ("metadata", "name"), message, (first.key,))


def unmatched(seen: Examined) -> Iterator[Finding]:
    """Selectors that pick nobody, where anybody is known."""
    if not seen.members:
        return
    root = seen.world.mesh.root_namespace
    for kind, (select, place) in _SELECTING.items():
        path: Path = place
        for resource in seen.of(kind):
            selector = select(resource)
            namespace = None if resource.key.namespace == root and kind != "ServiceEntry" else resource.key.namespace
            if selector and not any(seen.picked(selector, namespace)):
                message = f"No matching workloads for this resource with the following labels: {labels_text(selector)}"
                yield finding(NO_MATCHING_WORKLOADS, resource, path, message)
