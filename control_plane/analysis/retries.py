"""Retries along a chain of calls: each hop multiplies those of the hops behind it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from control_plane.analysis.codes import RETRIES_MULTIPLY
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.registry.selection import Labelled
from control_plane.translate.hosts import is_wildcard, qualified
from mesh.istio.model import Path
from mesh.istio.resource import Resource

MANY: Final = 10  # tries of the last service for one request of the first
_LONGEST: Final = 12  # hops

Calls = Mapping[str, Collection[str]]  # host → the hosts that it calls


class _Tries(NamedTuple):
    """How often a caller tries a host, and the rule that says so."""

    number: int = 1
    resource: Resource | None = None
    path: Path = ()


class _Chain(NamedTuple):
    """A chain of calls, and how many of its last for one of its first."""

    total: int
    hosts: tuple[str, ...]


def multiply(seen: Examined) -> Iterator[Finding]:
    """A chain of services that may try the last one many times for one request. Who calls whom is what was observed, and
    what Sidecars import by name."""
    calls = {caller: set(called) for caller, called in seen.calls.items()}
    for caller, called in _declared(seen):
        calls.setdefault(caller, set()).add(called)
    tries = {host: _tries(seen, host) for called in calls.values() for host in called}
    if not any(each.number > 1 for each in tries.values()):
        return
    asked = {resource.key for resource in seen.of("VirtualService")}
    for host, chain in sorted(_worst(calls, tries).items()):
        own = tries.get(host, _Tries())
        if own.resource is not None and own.resource.key in asked and chain.total >= MANY and len(chain.hosts) > 2:
            yield finding(RETRIES_MULTIPLY, own.resource, own.path, _message(chain, tries))


def _message(chain: _Chain, tries: Mapping[str, _Tries]) -> str:
    first, *rest = chain.hosts
    hops = " → ".join([_short(first), *(f"{_short(host)} (×{tries[host].number})" for host in rest)])
    return (
        f"one request to {_short(first)} may become {chain.total} to {_short(chain.hosts[-1])}: {hops}. Retry at one hop "
        "of the chain only, or bound retries with a retryBudget"
    )


def _short(host: str) -> str:
    return host.partition(".svc.")[0]


def _tries(seen: Examined, host: str) -> _Tries:
    bound = seen.index.mesh_service(host)
    best = _Tries()
    for number, rule in enumerate(bound.resource.spec.http if bound is not None else ()):
        attempts = rule.retries.attempts if rule.retries is not None else 0
        if bound is not None and attempts + 1 > best.number:
            best = _Tries(attempts + 1, bound.resource, ("spec", "http", number, "retries"))
    return best


def _worst(calls: Calls, tries: Mapping[str, _Tries]) -> dict[str, _Chain]:
    """The chain to each host that multiplies most; no host is in a chain twice."""
    best: dict[str, _Chain] = {}
    for _ in range(_LONGEST):
        news = False
        for caller, called in calls.items():
            before = best.get(caller, _Chain(1, (caller,)))
            for host in called:
                longer = _Chain(before.total * tries[host].number, (*before.hosts, host))
                if host not in before.hosts and longer.total > best.get(host, _Chain(1, ())).total:
                    best[host] = longer
                    news = True
        if not news:
            break
    return best


def _declared(seen: Examined) -> Iterator[tuple[str, str]]:
    """Who calls whom by Sidecars: what the workloads of a service import by name is what it calls."""
    sidecars = [each for each in seen.all("Sidecar") if each.spec.selector]
    if not sidecars:
        return
    services = Labelled((each.namespace, each.selector, each) for each in seen.index.services)
    for resource in sidecars:
        namespace = resource.key.namespace
        names = [host.partition("/")[2] for each in resource.spec.egress for host in each.hosts]
        imported = [qualified(name, namespace) for name in names if not is_wildcard(name)]
        for service in services.matching(namespace, resource.spec.selector):
            yield from ((service.host.lower(), host) for host in imported if seen.index.service(host) is not None)
