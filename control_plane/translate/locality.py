"""Which endpoints a client prefers by where they are: Istio's locality load balancing, on an EDS assignment.

Shares (`distribute`) become the localities' weights, fail-over their priorities: 0 the client's own sub-zone, then its
zone, its region, the region that takes over, all others; or by labels in common (`failoverPriority`). Where proxies are
to choose among the zones themselves (`zoneAwareLbSetting`) only regions are told apart. Priorities are numbered without
gaps, since Envoy takes no others.
https://istio.io/latest/docs/reference/config/networking/destination-rule/#LocalityLoadBalancerSetting
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from envoy.config.endpoint.v3.endpoint_components_pb2 import LocalityLbEndpoints

from control_plane.translate.policy import Policy
from control_plane.world import Instance
from mesh.istio.load_balancing import (
    Distribute,
    Failover,
    LocalityLoadBalancerSetting,
    ZoneAwareLoadBalancerSetting,
)
from mesh.node import Locality

NETWORK: Final = "topology.istio.io/network"
REGION: Final = "topology.kubernetes.io/region"
ZONE: Final = "topology.kubernetes.io/zone"
SUB_ZONE: Final = "topology.istio.io/subzone"
_DEFAULT: Final = LocalityLoadBalancerSetting()
_LEVELS: Final = 5  # sub-zone, zone, region, the region that takes over, any other

Placed = tuple[Any, tuple[Instance, ...]]  # a LocalityLbEndpoints, and the instance of each of its endpoints


@dataclass(frozen=True, slots=True)
class Preference:
    """A client's place and labels, and what a policy makes of them. `failover` says that somebody finds out who is
    down, `zones_alike` that of the places regions only count."""

    locality: Locality
    labels: tuple[tuple[str, str], ...]
    settings: LocalityLoadBalancerSetting
    failover: bool
    zones_alike: bool = False


def preference(policy: Policy, locality: Locality, labels: tuple[tuple[str, str], ...]) -> Preference | None:
    """What a client prefers, None where all endpoints are alike to it: nothing is known of its place, or nothing is
    asked for, or failing over would be without an end since nobody is ever found to be down."""
    balancer = policy.load_balancer
    if balancer is not None and balancer.zone_aware_lb_setting is not None:
        return _by_regions(balancer.zone_aware_lb_setting, locality, labels)
    settings = (balancer.locality_lb_setting if balancer is not None else None) or _DEFAULT
    failover = policy.outlier_detection is not None or policy.prefers_near
    if settings.enabled is False or not (settings.distribute or failover):
        return None
    if not locality.region and not settings.failover_priority:
        return None
    return Preference(locality, _asked(settings.failover_priority, labels), settings, failover)


def _by_regions(
    said: ZoneAwareLoadBalancerSetting, locality: Locality, labels: tuple[tuple[str, str], ...]
) -> Preference | None:
    if said.enabled is False or not (locality.region or said.failover_priority):
        return None
    settings = LocalityLoadBalancerSetting.model_construct(
        failover=said.failover, failover_priority=said.failover_priority
    )
    return Preference(locality, _asked(said.failover_priority, labels), settings, failover=True, zones_alike=True)


def _asked(wanted: Sequence[str], labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    names = {label.partition("=")[0] for label in wanted}
    return tuple(pair for pair in labels if pair[0] in names)


def weighted(policy: Policy) -> bool:
    """Whether the weights of localities count at all: they would get in the way of LEAST_REQUEST."""
    balancer = policy.load_balancer
    settings = balancer.locality_lb_setting if balancer is not None else None
    if settings is None or settings.enabled is False:
        return False
    fails_over = policy.outlier_detection is not None or policy.prefers_near
    failover = fails_over and (settings.failover or settings.failover_priority)
    return bool(settings.distribute or failover)


def placed(localities: Sequence[Placed], wish: Preference) -> list[Any]:
    """The localities of an assignment as a client is to see them."""
    settings = wish.settings
    if settings.distribute:
        return _distributed([group for group, _ in localities], wish.locality, settings.distribute)
    groups = [group for group, _ in localities]
    if settings.failover_priority:
        groups = _by_labels(localities, settings.failover_priority, _all_labels(dict(wish.labels), wish.locality))
        if not (settings.failover or wish.zones_alike):
            return groups
    return _by_place(groups, wish, settings.failover)


# ── shares ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def matches(place: str, locality: Any) -> bool:
    """Whether a locality (of a node or of a message) lies within `region/zone/subzone`; `*` is any, and so is what is
    left out."""
    if place == "*":
        return True
    own = (locality.region, locality.zone, locality.sub_zone)
    return all(wanted in ("*", part) for wanted, part in zip(place.split("/"), own, strict=False))


def _distributed(groups: list[Any], client: Locality, rules: Sequence[Distribute]) -> list[Any]:
    rule = next((rule for rule in rules if matches(rule.source, client)), None)
    if rule is None:
        return groups
    left = dict(enumerate(groups))
    for place, share in rule.to.items():
        found = [index for index, group in left.items() if matches(place, group.locality)]
        total = sum(left[index].load_balancing_weight.value or 1 for index in found)
        for index in found:
            group = left.pop(index)
            own = group.load_balancing_weight.value or 1
            group.load_balancing_weight.value = max(1, math.ceil(own * share / total))
    for group in left.values():
        group.ClearField("lb_endpoints")  # nothing is for them
    return groups


# ── fail-over ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_place(groups: list[Any], wish: Preference, rules: Sequence[Failover]) -> list[Any]:
    client = wish.locality
    heir = next((rule.to for rule in rules if rule.source == client.region), None)
    for group in groups:
        distance = _distance(client, group.locality, heir)
        if wish.zones_alike and group.locality.region == client.region:
            distance = 0
        group.priority = group.priority * _LEVELS + distance
    return _without_gaps(groups)


def _distance(client: Locality, there: Any, heir: str | None) -> int:
    if there.region != client.region:
        return 3 if heir is None or there.region == heir else 4
    if there.zone != client.zone:
        return 2
    return 0 if there.sub_zone == client.sub_zone else 1


def _by_labels(localities: Sequence[Placed], wanted: Sequence[str], own: Mapping[str, str]) -> list[Any]:
    """A locality for each number of labels that its endpoints have in common with the client."""
    groups: list[Any] = []
    for group, instances in localities:
        by_priority: dict[int, list[Any]] = {}
        for endpoint, instance in zip(group.lb_endpoints, instances, strict=True):
            theirs = _all_labels(instance.labels, instance.locality)
            by_priority.setdefault(_difference(wanted, own, theirs), []).append(endpoint)
        for priority in sorted(by_priority):
            members = by_priority[priority]
            part = LocalityLbEndpoints(locality=group.locality, lb_endpoints=members, priority=priority)
            part.load_balancing_weight.value = sum(member.load_balancing_weight.value for member in members)
            groups.append(part)
    return _without_gaps(groups)


def _all_labels(labels: Mapping[str, str], place: Locality) -> Mapping[str, str]:
    """With the labels that stand for a place."""
    return {REGION: place.region, ZONE: place.zone, SUB_ZONE: place.sub_zone, **labels}


def _difference(wanted: Sequence[str], own: Mapping[str, str], theirs: Mapping[str, str]) -> int:
    """0 when all labels agree, more the earlier the first one that does not. The network, if it comes first, is apart:
    what else agrees counts within another network, too."""
    added = 0
    for position, label in enumerate(wanted):
        name, given, value = label.partition("=")
        if (value if given else own.get(name, "")) != theirs.get(name, ""):
            if position == 0 and name == NETWORK:
                added = len(wanted)
                continue
            return len(wanted) - position + added
    return added


def _without_gaps(groups: list[Any]) -> list[Any]:
    numbers = {priority: number for number, priority in enumerate(sorted({group.priority for group in groups}))}
    for group in groups:
        group.priority = numbers[group.priority]
    return groups
