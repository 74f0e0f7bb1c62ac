"""How a cluster picks hosts."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.errors import ConfigError
from sidecar.config.model import Balancing, Cluster, Hashing, LbPolicy, SlowStart, ZoneAware
from tests.unit.sidecar.config.build import LB, Data, T, cluster_of, parts


def changed(**cluster: Any) -> Cluster:
    given = parts()
    given.cluster.update(cluster)
    return cluster_of(given)


def policy(kind: str, **fields: Any) -> Data:
    return {"typed_extension_config": {"name": "p", "typed_config": {"@type": T + kind, **fields}}}


def test_least_request_old_and_new() -> None:
    old = changed(lb_policy="LEAST_REQUEST", least_request_lb_config={"choice_count": 4})
    new = changed(
        load_balancing_policy={
            "policies": [
                policy("mesh.Unknown"),
                policy(LB.removeprefix(T) + "least_request.v3.LeastRequest", choice_count=4),
                policy(LB.removeprefix(T) + "round_robin.v3.RoundRobin"),
            ]
        }
    )
    for cluster in (old, new):
        assert (cluster.balancing.policy, cluster.balancing.choice_count) == (LbPolicy.LEAST_REQUEST, 4)


def test_the_new_spelling_wins_over_the_old() -> None:
    random = policy(LB.removeprefix(T) + "random.v3.Random")
    assert (
        changed(lb_policy="ROUND_ROBIN", load_balancing_policy={"policies": [random]}).balancing.policy
        is LbPolicy.RANDOM
    )


HASH_TABLES = [
    ({"lb_policy": "RING_HASH"}, LbPolicy.RING_HASH, Hashing()),
    (
        {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 5, "maximum_ring_size": 9}},
        LbPolicy.RING_HASH,
        Hashing(5, 9),
    ),
    ({"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 101}}, LbPolicy.MAGLEV, Hashing(table_size=101)),
    (
        {"load_balancing_policy": {"policies": [policy(LB.removeprefix(T) + "maglev.v3.Maglev", table_size=7)]}},
        LbPolicy.MAGLEV,
        Hashing(table_size=7),
    ),
    (
        {
            "type": "STRICT_DNS",
            "load_balancing_policy": {
                "policies": [
                    policy(
                        LB.removeprefix(T) + "ring_hash.v3.RingHash",
                        minimum_ring_size=7,
                        consistent_hashing_lb_config={"use_hostname_for_hashing": True},
                    )
                ]
            },
        },
        LbPolicy.RING_HASH,
        Hashing(7, by_hostname=True),
    ),
]


@pytest.mark.parametrize(("given", "kind", "hashing"), HASH_TABLES)
def test_hash_tables(given: Data, kind: LbPolicy, hashing: Hashing) -> None:
    cluster = changed(**given)
    assert (cluster.balancing.policy, cluster.balancing.hashing) == (kind, hashing)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"ring_hash_lb_config": {"minimum_ring_size": 5, "maximum_ring_size": 4}}, "minimum_ring_size"),
        ({"ring_hash_lb_config": {"hash_function": "MURMUR_HASH_2"}}, "hash_function"),
        ({"maglev_lb_config": {"table_size": 100}}, "table_size"),
        ({"common_lb_config": {"consistent_hashing_lb_config": {"hash_balance_factor": 99}}}, "hash_balance_factor"),
        ({"common_lb_config": {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}}, "type"),
    ],
)
def test_hash_tables_that_are_refused(given: Data, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(lb_policy="RING_HASH", **given)
    assert [problem.field.rpartition(".")[2] for problem in caught.value.problems] == [path]


# ── slow start, bias, zones ───────────────────────────────────────────────────────────────────────────────────────────

SLOW = {
    "slow_start_window": "60s",
    "aggression": {"default_value": 2.0, "runtime_key": "x"},
    "min_weight_percent": {"value": 25},
}
ZONES = {"routing_enabled": {"value": 50}, "min_cluster_size": 3, "fail_traffic_on_panic": True}


def extension(kind: str, **fields: Any) -> Data:
    return {"load_balancing_policy": {"policies": [policy(LB.removeprefix(T) + kind, **fields)]}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"lb_policy": "ROUND_ROBIN", "round_robin_lb_config": {"slow_start_config": SLOW}},
            Balancing(slow_start=SlowStart(60.0, 2.0, 0.25)),
        ),
        (
            extension("round_robin.v3.RoundRobin", slow_start_config={"slow_start_window": "5s"}),
            Balancing(slow_start=SlowStart(5.0)),
        ),
        (
            {
                "lb_policy": "LEAST_REQUEST",
                "least_request_lb_config": {
                    "slow_start_config": SLOW,
                    "active_request_bias": {"default_value": 0.5, "runtime_key": "x"},
                },
            },
            Balancing(LbPolicy.LEAST_REQUEST, bias=0.5, slow_start=SlowStart(60.0, 2.0, 0.25)),
        ),
        (
            extension("least_request.v3.LeastRequest", slow_start_config=SLOW, selection_method="FULL_SCAN"),
            Balancing(LbPolicy.LEAST_REQUEST, full_scan=True, slow_start=SlowStart(60.0, 2.0, 0.25)),
        ),
        ({"lb_policy": "RANDOM", "round_robin_lb_config": {"slow_start_config": SLOW}}, Balancing(LbPolicy.RANDOM)),
        ({"common_lb_config": {"zone_aware_lb_config": ZONES}}, Balancing(zone_aware=ZoneAware(50.0, 3, True))),
        (
            extension(
                "random.v3.Random",
                locality_lb_config={
                    "zone_aware_lb_config": {
                        **ZONES,
                        "force_local_zone": {"min_size": 2},
                        "locality_basis": "HEALTHY_HOSTS_WEIGHT",
                    }
                },
            ),
            Balancing(LbPolicy.RANDOM, zone_aware=ZoneAware(50.0, 3, True, 2, True)),
        ),
        (
            extension(
                "random.v3.Random", locality_lb_config={"zone_aware_lb_config": {"force_locality_direct_routing": True}}
            ),
            Balancing(LbPolicy.RANDOM, zone_aware=ZoneAware(force_local=1)),
        ),
        (
            extension("maglev.v3.Maglev", consistent_hashing_lb_config={"hash_balance_factor": 150}),
            Balancing(LbPolicy.MAGLEV, hashing=Hashing(balance_factor=150)),
        ),
    ],
)
def test_balancing(given: Data, expected: Balancing) -> None:
    assert changed(**given).balancing == expected


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"lb_subset_config": {}}, "lb_subset_config"),
        ({"common_lb_config": {"zone_aware_lb_config": {}}}, "common_lb_config.zone_aware_lb_config"),
        ({"common_lb_config": {"locality_weighted_lb_config": {}}}, "common_lb_config.locality_weighted_lb_config"),
    ],
)
def test_what_a_policy_list_cannot_be_combined_with(given: Data, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(**extension("random.v3.Random"), **given)
    assert [problem.field for problem in caught.value.problems] == [f"static_resources.clusters[0].{path}"]


def test_what_a_policy_list_replaces_is_not_looked_at() -> None:
    given = changed(**extension("random.v3.Random"), least_request_lb_config={"choice_count": 3})
    assert given.balancing == Balancing(LbPolicy.RANDOM)
