"""What is valid, and hardly what is meant: what Istio's webhook warns of.

https://istio.io/latest/docs/reference/config/analysis/ist0133/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from control_plane.analysis.codes import SCHEMA_WARNING
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from mesh.istio.model import Path
from mesh.istio.resource import Resource

# Kind → its selector, and the labels in that.
_SELECTORS: Final[Mapping[str, tuple[str, str]]] = {
    "Sidecar": ("workload_selector", "labels"),
    "EnvoyFilter": ("workload_selector", "labels"),
    "DestinationRule": ("workload_selector", "match_labels"),
    "Telemetry": ("selector", "match_labels"),
    "ProxyConfig": ("selector", "match_labels"),
}
_SPELLED: Final = {"workload_selector": "workloadSelector"}
LARGE_BODY: Final = 100 * 1024  # it is part of every proxy's routes


def _warning(resource: Resource, path: Path, text: str) -> Finding:
    return finding(SCHEMA_WARNING, resource, path, f"Schema validation warning: {text}")


def empty_selectors(seen: Examined) -> Iterator[Finding]:
    """A selector that asks for nothing selects everybody."""
    for kind, (field, labels) in _SELECTORS.items():
        for resource in seen.of(kind):
            selector = getattr(resource.spec, field)
            if selector is not None and not getattr(selector, labels):
                text = "workload selector specified without labels, will be applied to all services in namespace"
                yield _warning(resource, ("spec", _SPELLED.get(field, field)), f"{kind.lower()}: {text}")


def large_bodies(seen: Examined) -> Iterator[Finding]:
    for resource in seen.of("VirtualService"):
        for number, rule in enumerate(resource.spec.http):
            body = rule.direct_response.body if rule.direct_response is not None else None
            if body is not None and len(body.content) > LARGE_BODY:
                path = ("spec", "http", number, "directResponse", "body")
                yield _warning(resource, path, "large direct_responses may impact control plane performance")


def repeated_imports(seen: Examined) -> Iterator[Finding]:
    """Hosts of a Sidecar's egress that others there have brought already."""
    for resource in seen.of("Sidecar"):
        for number, listener in enumerate(resource.spec.egress):
            for position, text in _repeated(listener.hosts):
                yield _warning(resource, ("spec", "egress", number, "hosts", position), text)


def _repeated(hosts: Sequence[str]) -> Iterator[tuple[int, str]]:
    listed = frozenset(hosts)
    before: set[str] = set()
    for position, host in enumerate(hosts):
        namespace, _, name = host.partition("/")
        taken_out = host.startswith("~")
        if not taken_out and host != "*/*" and "*/*" in listed:
            yield position, "`*/*` host select all resources, no other hosts can be added"
        elif host in before or (not taken_out and name != "*" and f"{namespace}/*" in listed):
            yield position, f"duplicated egress host: {host}"
        before.add(host)
