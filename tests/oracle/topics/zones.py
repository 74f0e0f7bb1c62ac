"""Zone-aware routing: requests stay in the proxy's zone where its hosts can serve them. Half of the proxies of
this kind are at home, half are away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.oracle.case import Action, Case, Read, Up, Write, request

LB = "type.googleapis.com/envoy.extensions.load_balancing_policies."
SIX = tuple(f"shared{number}" for number in range(6))
STATS = tuple(
    f"cluster.%CLUSTER%.{name}"
    for name in (
        "lb_zone_cluster_too_small",
        "lb_zone_no_capacity_left",
        "lb_zone_routing_all_directly",
        "lb_zone_routing_sampled",
        "lb_zone_routing_cross_zone",
        "lb_local_cluster_not_ok",
        "lb_healthy_panic",
        "upstream_rq_total",
    )
)
HASHED = {"lb_policy": "RING_HASH"}
BY_PATH = {"hash_policy": [{"header": {"header_name": ":path"}}]}


def asked(count: int) -> list[Action]:
    return [step for number in range(count) for step in (Write(request(f"/{number}")), Read())]


def zoned(
    name: str,
    zones: str,
    *,
    zone_aware: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
    lb: Sequence[Mapping[str, Any]] = (),
    zone_weights: Mapping[str, int] | None = None,
    count: int = 6,
    **more: Any,
) -> Case:
    """`zones` has a letter an endpoint: h is home. The log is compared without saying which endpoint of several."""
    where = [{"h": "home", "a": "away", "o": "other"}[letter] for letter in zones]
    common = {"common_lb_config": {"zone_aware_lb_config": zone_aware}} if zone_aware is not None else {}
    up = Up(SIX[: len(zones)], lb=lb, zones=where, zone_weights=zone_weights or {}, fields={**common, **(fields or {})})
    counted = more.pop("counted", None)
    expect = {f"stats.cluster.{name}.{counted}": count} if counted else {}
    return Case(
        name, actions=asked(count), clusters={"": up}, stats=STATS, expect={**expect, **more.pop("expect", {})}, **more
    )


SMALL = {"min_cluster_size": 1}
ILL = {"health_status": "UNHEALTHY"}
ANY = [f"log[{number}].upstream" for number in range(6)]


def typed(kind: str, **locality: Any) -> Mapping[str, Any]:
    config = {"@type": f"{LB}{kind}", "locality_lb_config": {"zone_aware_lb_config": locality}}
    return {"load_balancing_policy": {"policies": [{"typed_extension_config": {"name": "p", "typed_config": config}}]}}


CASES = (
    Case(
        "proxies",
        request("/x"),
        clusters={"": Up(SIX[:2], zones=("home", "away"))},
        local=True,
        ignore=["log[0].upstream"],
    ),
    zoned("zone_all_at_home", "hhahhh", ignore=ANY, counted="lb_zone_routing_all_directly"),
    zoned("zone_stays_at_home", "ha", zone_aware=SMALL, ignore=ANY, counted="lb_zone_routing_all_directly"),
    zoned("zone_one_host_at_home", "haaa", zone_aware=SMALL, count=1, ignore=[*ANY, "stats"]),
    zoned("zone_nobody_at_home", "aao", zone_aware=SMALL, ignore=ANY, counted="lb_zone_routing_cross_zone"),
    zoned("zone_of_one_place", "aaaaaa", ignore=ANY),
    zoned("zone_too_small_by_default", "hhhha", ignore=ANY),
    zoned("zone_switched_off", "hhhaaa", zone_aware={**SMALL, "routing_enabled": {"value": 0}}, ignore=ANY),
    zoned(
        "zone_least_request",
        "hhha",
        zone_aware=SMALL,
        fields={"lb_policy": "LEAST_REQUEST"},
        ignore=ANY,
        counted="lb_zone_routing_all_directly",
    ),
    zoned(
        "zone_random",
        "hhha",
        zone_aware=SMALL,
        fields={"lb_policy": "RANDOM"},
        ignore=ANY,
        counted="lb_zone_routing_all_directly",
    ),
    zoned(
        "zone_extension",
        "hhha",
        fields=typed("round_robin.v3.RoundRobin", min_cluster_size=1),
        ignore=ANY,
        counted="lb_zone_routing_all_directly",
    ),
    zoned(
        "zone_extension_forced",
        "haaaaa",
        fields=typed("random.v3.Random", force_locality_direct_routing=True),
        counted="lb_zone_routing_all_directly",
    ),
    zoned("zone_panic", "ha", zone_aware=SMALL, lb=(ILL, ILL), ignore=ANY, counted="lb_healthy_panic"),
    zoned(
        "zone_panic_fails",
        "ha",
        zone_aware={**SMALL, "fail_traffic_on_panic": True},
        lb=(ILL, ILL),
        expect={"log[0].flags": "UH"},
    ),
    zoned("zone_with_a_ring", "hhaa", zone_aware=SMALL, fields=HASHED, action=BY_PATH),
    zoned(
        "zone_extension_enough_at_home",
        "hhaaaa",
        fields=typed("random.v3.Random", force_local_zone={"min_size": 2}),
        ignore=ANY,
        counted="lb_zone_routing_all_directly",
    ),
    zoned(
        "zone_by_weight",
        "haaa",
        lb=({"load_balancing_weight": 9},),
        fields=typed("round_robin.v3.RoundRobin", min_cluster_size=1, locality_basis="HEALTHY_HOSTS_WEIGHT"),
        ignore=ANY,
        counted="lb_zone_routing_all_directly",
    ),
    # Weights of localities, here because the topic has zones.
    zoned(
        "zones_by_weight",
        "ha",
        zone_weights={"home": 1},
        fields={"common_lb_config": {"locality_weighted_lb_config": {}}},
    ),
    zoned(
        "zones_by_weight_without_any",
        "h",
        fields={"common_lb_config": {"locality_weighted_lb_config": {}}},
    ),
    zoned(
        "zones_by_weight_with_a_ring",
        "hhaa",
        zone_weights={"home": 1, "away": 4},
        fields={**HASHED, "common_lb_config": {"locality_weighted_lb_config": {}}},
        action=BY_PATH,
        count=20,
    ),
)
