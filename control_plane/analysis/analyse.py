"""All checks, on all or some of the resources of a world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from control_plane.analysis import destination_rules, gateways, service_entries, virtual_services
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding
from control_plane.world import World
from mesh.istio.resource import Key

CHECKS: Final[tuple[Callable[[Examined], Iterable[Finding]], ...]] = (
    virtual_services.hosts,
    virtual_services.unknown_destinations,
    virtual_services.ambiguous_ports,
    virtual_services.gateways,
    virtual_services.conflicts,
    virtual_services.unreachable,
    destination_rules.unknown_hosts,
    destination_rules.empty_subsets,
    gateways.conflicting_ports,
    service_entries.wildcards_by_name,
)


def analyse(world: World, keys: Collection[Key] | None = None) -> list[Finding]:
    """What is to be said about the resources of a world, or about some of them, gravest first."""
    asked = world.resources
    if keys is not None:
        asked = {kind: tuple(r for r in found if r.key in keys) for kind, found in world.resources.items()}
    seen = Examined(world, asked)
    findings = [each for check in CHECKS for each in check(seen)]
    return sorted(findings, key=lambda each: (-each.code.level, each.key, each.file, each.line))
