"""DestinationRules by the host that they are about, and what is asked of all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING, TypeVar

from control_plane.translate.hosts import is_wildcard, qualified
from control_plane.translate.policy import Settings
from mesh.istio.destination_rule import DestinationRule, Subset, TrafficPolicy
from mesh.istio.load_balancing import LoadBalancerSettings, LocalityLoadBalancerSetting

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class HostRule:
    """What the DestinationRules of one namespace say of one host: the oldest traffic policy, and all subsets (the
    oldest of each name). `resource` is the oldest rule."""

    resource: Resource
    policy: TrafficPolicy | None
    subsets: tuple[Subset, ...]


# (namespace, host) → the rules that make it, and what they come to
HostRules = dict[tuple[str, str], tuple[tuple["Resource", ...], HostRule]]
# namespace → the wildcards among its hosts, the longest first
WildcardRules = dict[str, tuple[tuple[str, HostRule], ...]]


def host_rules(resources: Iterable[Resource], before: HostRules) -> HostRules:
    """What the DestinationRules say of each host; the very object of before where the rules are the same."""
    gathered: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    for resource in resources:
        namespace = resource.key.namespace
        gathered[namespace, qualified(resource.spec.host, namespace)].append(resource)
    found: HostRules = {}
    for key, rules in gathered.items():
        known = before.get(key)
        same = known is not None and len(known[0]) == len(rules) and all(map(is_, known[0], rules))
        found[key] = known if same and known is not None else (tuple(rules), _merged(rules))
    return found


def wildcard_rules(host_rules: HostRules) -> WildcardRules:
    wildcards: dict[str, dict[str, HostRule]] = defaultdict(dict)
    for (namespace, host), (_, rule) in host_rules.items():
        if is_wildcard(host):
            wildcards[namespace][host] = rule
    return {namespace: by_specificity(found) for namespace, found in wildcards.items()}


def _merged(rules: list[Resource]) -> HostRule:
    subsets: dict[str, Subset] = {}
    for resource in rules:
        for subset in resource.spec.subsets:
            subsets.setdefault(subset.name, subset)
    policy = next((r.spec.traffic_policy for r in rules if r.spec.traffic_policy is not None), None)
    return HostRule(rules[0], policy, tuple(subsets.values()))


def _settings(resource: Resource) -> Iterator[Settings]:
    """Everything in a DestinationRule that has settings of its own."""
    spec: DestinationRule = resource.spec
    for policy in (spec.traffic_policy, *(subset.traffic_policy for subset in spec.subsets)):
        if policy is not None:
            yield policy
            yield from policy.port_level_settings


def balancers(resources: Iterable[Resource]) -> Iterator[LoadBalancerSettings]:
    for resource in resources:
        for settings in _settings(resource):
            if settings.load_balancer is not None:
                yield settings.load_balancer


def hashes(resources: Iterable[Resource]) -> bool:
    return any(each.consistent_hash is not None for each in balancers(resources))


def rule_labels(
    balancers: Iterable[LoadBalancerSettings], localities: LocalityLoadBalancerSetting | None
) -> tuple[str, ...]:
    """The labels by which any DestinationRule, or the mesh (`localities`), tells clients apart."""
    found = (localities, *(each.locality_lb_setting or each.zone_aware_lb_setting for each in balancers))
    return tuple(sorted({label.partition("=")[0] for each in found if each for label in each.failover_priority}))


def prefers_places(resource: Resource) -> bool:
    """Whether a DestinationRule may make some client prefer the endpoints near to it."""
    return any(
        each.outlier_detection is not None
        or (
            each.load_balancer is not None
            and (each.load_balancer.locality_lb_setting or each.load_balancer.zone_aware_lb_setting)
        )
        for each in _settings(resource)
    )


def by_specificity(wildcards: Mapping[str, T]) -> tuple[tuple[str, T], ...]:
    return tuple(sorted(wildcards.items(), key=lambda item: (-len(item[0]), item[0])))
