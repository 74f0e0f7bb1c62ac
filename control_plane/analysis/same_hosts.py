"""VirtualServices for one host of the mesh, of which one holds and the others do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.codes import CONFLICTING_HOSTS
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.bound import BoundService
from control_plane.translate.hosts import qualified
from control_plane.translate.scope import EVERYBODY
from mesh.istio.sidecar import OWN
from mesh.istio.virtual_service import MESH_GATEWAY

Audience = frozenset[tuple[str, bool]]  # namespaces, each with whether it is the VirtualService's own by "."


def conflicts(seen: Examined) -> Iterator[Finding]:
    """The older one's rules hold, for clients who are told of both. One for few goes before one for all: that is no
    conflict."""
    named: dict[str, list[BoundService]] = {}
    for bound in seen.index.virtual_services:
        if MESH_GATEWAY in bound.gateways:
            for host in bound.hosts:
                named.setdefault(host.lower(), []).append(bound)
    for resource in seen.of("VirtualService"):
        for position, host in enumerate(resource.spec.hosts):
            rivals = named.get(qualified(host, resource.key.namespace).lower(), [])
            own = next((at for at, each in enumerate(rivals) if each.resource.key == resource.key), 0)
            audience = _audience(seen, rivals[own]) if rivals else None
            winner = next((each for each in rivals[:own] if _both_told(audience, _audience(seen, each))), None)
            if winner is None:
                continue
            names = ",".join(sorted(f"{key.namespace}/{key.name}" for key in (resource.key, winner.resource.key)))
            message = (
                f"The VirtualServices {names} associated with mesh gateway define the same host {host} which can lead to "
                "undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource. "
                f"(Here {winner.namespace}/{winner.name} holds, the older one.)"
            )
            yield finding(CONFLICTING_HOSTS, resource, ("spec", "hosts", position), message, (winner.resource.key,))


def _audience(seen: Examined, bound: BoundService) -> Audience | None:
    """Who is told of it; None is everybody."""
    export_to = bound.spec.export_to or seen.world.mesh.exported.virtual_services
    if not export_to or EVERYBODY in export_to:
        return None
    return frozenset((bound.namespace, True) if name == OWN else (name, False) for name in export_to)


def _both_told(one: Audience | None, other: Audience | None) -> bool:
    """Whether somebody is told of both, neither of them being more his own."""
    return one is other is None or (one is not None and other is not None and bool(one & other))
