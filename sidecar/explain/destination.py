"""Where a request goes: the clusters, what is asked of them, and their endpoints with their state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from mesh.explain.steps import Step
from mesh.naming import ClusterName
from sidecar.config.model import Assignment, Cluster, Discovery, Endpoint, Forward, Hcm, Health, LocalityEndpoints
from sidecar.explain.given import Given, HostState
from sidecar.explain.policies import (
    ISTIO,
    cluster_source,
    cluster_steps,
    never_ejects,
    route_steps,
    rule_source,
    sticks,
)
from sidecar.http.exchange import Exchange
from sidecar.router.table import CompiledRoute

_USED: Final = (Health.HEALTHY, Health.DEGRADED)
_FLAGS: Final = {
    "failed_outlier_check": "ejected",
    "failed_active_hc": "fails its health checks",
    "failed_eds_health": "the control plane says UNHEALTHY",
    "eds_status_draining": "draining",
    "pending_active_hc": "not checked yet",
    "degraded_active_hc": "degraded",
    "degraded_eds_health": "degraded",
    "pending_dynamic_removal": "about to be removed",
}


@dataclass(frozen=True, slots=True)
class Destinations:
    """`outcome` is set where the request is answered here, because there is nobody to send it to."""

    steps: tuple[Step, ...]
    outcome: str = ""


def destinations(
    given: Given,
    shares: tuple[tuple[str, float], ...],
    *,
    route: CompiledRoute | None = None,
    hcm: Hcm | None = None,
    how: str = "",
    exchange: Exchange | None = None,
) -> Destinations:
    steps: list[Step] = []
    if route is not None and hcm is not None:
        steps += route_steps(hcm, route)
    if how:
        steps.append(Step("split", how, source=rule_source(route.config, "route") if route is not None else None))
    outcomes = []
    for name, share in shares:
        step, outcome = _cluster(given, name, share, route, exchange)
        steps.append(step)
        outcomes.append(outcome)
    unmet = [each for each in outcomes if each]
    if unmet and len(unmet) == len(outcomes):
        return Destinations(tuple(steps), unmet[0])
    return Destinations(tuple(steps))


def _cluster(
    given: Given, name: str, share: float, route: CompiledRoute | None, exchange: Exchange | None
) -> tuple[Step, str]:
    shown = f"{name}, {share * 100:.4g} %" if share < 1 else name
    cluster = given.cluster(name)
    if cluster is None:
        action = route.action if route is not None else None
        code = action.cluster_not_found_code if isinstance(action, Forward) else 503
        says = f"{shown}: there is no such cluster{_missing(given, name)}"
        source = rule_source(route.config, "route") if route is not None else None
        return Step("cluster", says, False, source), f"answered {code} NC: no cluster {name}{_missing(given, name)}"
    hosts, usable = _hosts(given, cluster)
    inner = [*cluster_steps(cluster)]
    if (never := never_ejects(cluster, len(hosts))) is not None:
        inner.append(never)
    if sticks(cluster):
        inner.append(_hash(route, exchange))
    outcome = ""
    if cluster.discovery is Discovery.ORIGINAL_DST:
        inner.append(Step("endpoint", "wherever the client was going", True))
    elif cluster.discovery is Discovery.DYNAMIC:
        inner.append(Step("endpoint", "what the name that it asks for resolves to", True))
    elif not hosts and given.on_paper:
        inner.append(Step("endpoints", "not known from files: workloads tell when they connect"))
    elif not usable and cluster.discovery in (Discovery.EDS, Discovery.STATIC):
        outcome = _nobody(cluster, hosts)
        if not hosts:
            inner.append(Step("endpoints", "there are none", False))
    inner += hosts
    return Step("cluster", shown, not outcome, cluster_source(cluster), steps=tuple(inner)), outcome


def _nobody(cluster: Cluster, hosts: list[Step]) -> str:
    if hosts and cluster.balancing.panic_threshold > 0:
        return ""  # everybody is used when too few are well
    count = f"0 of {len(hosts)} endpoints can be used" if hosts else "it has no endpoints"
    return f"answered 503 UH (no healthy upstream): cluster {cluster.name}: {count}"


def _missing(given: Given, name: str) -> str:
    """What is wrong with the name of a cluster that is not there."""
    parsed = ClusterName.parse(name)
    if parsed is None:
        return ""
    if parsed.subset and given.cluster(str(parsed._replace(subset=""))) is not None:
        return f": no DestinationRule of {parsed.host} has a subset {parsed.subset}"
    return f": no service {parsed.host} has a port {parsed.port}"


def _hash(route: CompiledRoute | None, exchange: Exchange | None) -> Step:
    if route is None or route.hash_policies is None or exchange is None:
        return Step("key", "none: a host at random for each request", False)
    key = route.hash_policies.key(exchange).value
    if key is None:
        return Step("key", "the request has nothing of what is hashed: a host at random", False)
    return Step("key", f"{key:#018x}: requests with this key go to one host", True)


# ── endpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _hosts(given: Given, cluster: Cluster) -> tuple[list[Step], int]:
    """A step for each endpoint, and how many of them can be used."""
    assignment = given.assignment(cluster)
    steps = [_host(given, cluster, where, endpoint) for where, endpoint in _endpoints(assignment)]
    return steps, sum(step.passed is True for step in steps)


def _endpoints(assignment: Assignment | None) -> Iterator[tuple[LocalityEndpoints, Endpoint]]:
    for where in assignment.localities if assignment is not None else ():
        for endpoint in where.endpoints:
            yield where, endpoint


def _host(given: Given, cluster: Cluster, where: LocalityEndpoints, endpoint: Endpoint) -> Step:
    address = str(endpoint.address)
    state = given.states.get((cluster.name, address)) if given.states is not None else None
    used = endpoint.health in _USED and (state is None or not _out_of_use(state))
    words = [address, _workload(endpoint), _state(endpoint, state)]
    if endpoint.weight != 1:
        words.append(f"weight {endpoint.weight}")
    if place := "/".join(filter(None, (where.region, where.zone, where.sub_zone))):
        words.append(place)
    if where.priority:
        words.append(f"priority {where.priority}")
    return Step("endpoint", ", ".join(filter(None, words)), used)


def _workload(endpoint: Endpoint) -> str:
    """The name of Istio's `workload;namespace;…`."""
    text = endpoint.metadata.get(ISTIO, {}).get("workload", "")
    return text.partition(";")[0] if isinstance(text, str) else ""


def _out_of_use(state: HostState) -> bool:
    return any(
        flag in state.flags
        for flag in ("failed_outlier_check", "failed_active_hc", "failed_eds_health", "eds_status_draining")
    )


def _state(endpoint: Endpoint, state: HostState | None) -> str:
    if state is None:
        return endpoint.health.value
    if not state.flags:
        return "healthy"
    words = ", ".join(_FLAGS.get(flag, flag) for flag in state.flags)
    return f"{words} ({state.why})" if state.why else words
