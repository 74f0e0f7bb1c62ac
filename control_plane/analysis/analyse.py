"""All checks, on all or some of the resources of a world."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from control_plane.analysis import (
    annotated,
    deprecated,
    destination_rules,
    ejection,
    envoy_filters,
    faults,
    gateways,
    policies,
    providers,
    reachable,
    retries,
    same_hosts,
    schema_warnings,
    selectors,
    service_entries,
    services,
    splits,
    virtual_services,
    workloads,
)
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding
from control_plane.analysis.retries import Calls
from control_plane.analysis.suppress import Suppression, heard
from control_plane.world import World
from mesh.istio.resource import Key
from mesh.node import Node

Check = Callable[[Examined], Iterable[Finding]]

CHECKS: Final[tuple[Check, ...]] = (
    virtual_services.hosts,
    virtual_services.unknown_destinations,
    virtual_services.delegates,
    virtual_services.ambiguous_ports,
    virtual_services.gateways,
    same_hosts.conflicts,
    reachable.unreachable,
    destination_rules.unknown_hosts,
    destination_rules.empty_subsets,
    destination_rules.subsets_without_labels,
    destination_rules.unused_policies,
    gateways.conflicting_ports,
    gateways.ports_of_services,
    service_entries.wildcards_by_name,
    service_entries.without_addresses,
    service_entries.protocols,
    services.port_names,
    services.shared_workloads,
    selectors.exclusive,
    selectors.settings_of_all,
    envoy_filters.relative_patches,
    deprecated.fields,
    schema_warnings.empty_selectors,
    schema_warnings.large_bodies,
    schema_warnings.repeated_imports,
    annotated.checked,
    workloads.proxy_uid,
    policies.unknown_hosts,
    policies.second_breakers,
    policies.without_effect,
    providers.of_telemetry,
    providers.of_settings,
    ejection.never,
    faults.hidden_retries,
    faults.without_share,
    splits.by_connection,
    splits.on_tcp_ports,
    retries.multiply,
)

# About who is there at the moment: no reason to warn at once of a rule that comes before its workloads.
PRESENCE: Final[tuple[Check, ...]] = (
    selectors.unmatched,
    gateways.unselected,
    workloads.missing_proxies,
    workloads.unmeshed_callers,
    workloads.proxy_versions,
    workloads.localhost_endpoints,
)


def analyse(world: World, keys: Collection[Key] | None = None, nodes: Sequence[Node] = ()) -> list[Finding]:
    """What is to be said about the resources of a world, or about some of them, gravest first."""
    asked = world.resources
    if keys is not None:
        asked = {kind: tuple(r for r in found if r.key in keys) for kind, found in world.resources.items()}
    return _findings(Examined(world, asked, nodes), CHECKS)


def analyse_everything(
    world: World, nodes: Sequence[Node] = (), calls: Calls | None = None, suppressions: Iterable[Suppression] = ()
) -> list[Finding]:
    """The same for all of them, with who is there: `nodes` are the connected proxies, `calls` what was observed."""
    seen = Examined(world, world.resources, nodes, calls or {})
    return _findings(seen, (*CHECKS, *PRESENCE), suppressions)


def _findings(seen: Examined, checks: tuple[Check, ...], suppressions: Iterable[Suppression] = ()) -> list[Finding]:
    findings = (each for check in checks for each in check(seen))
    return gravest_first(heard(findings, seen.asked, suppressions))


def gravest_first(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda f: (-f.code.level, f.code.number, f.key, f.file, f.line))
