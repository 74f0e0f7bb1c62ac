"""How a cluster picks hosts."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.errors import ConfigError
from sidecar.config.model import Cluster, Hashing, LbPolicy
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
        assert (cluster.lb_policy, cluster.choice_count) == (LbPolicy.LEAST_REQUEST, 4)


def test_the_new_spelling_wins_over_the_old() -> None:
    random = policy(LB.removeprefix(T) + "random.v3.Random")
    assert changed(lb_policy="ROUND_ROBIN", load_balancing_policy={"policies": [random]}).lb_policy is LbPolicy.RANDOM


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
    assert (cluster.lb_policy, cluster.hashing) == (kind, hashing)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"ring_hash_lb_config": {"minimum_ring_size": 5, "maximum_ring_size": 4}}, "minimum_ring_size"),
        ({"ring_hash_lb_config": {"hash_function": "MURMUR_HASH_2"}}, "hash_function"),
        ({"maglev_lb_config": {"table_size": 100}}, "table_size"),
        ({"common_lb_config": {"consistent_hashing_lb_config": {"hash_balance_factor": 150}}}, "hash_balance_factor"),
        ({"common_lb_config": {"consistent_hashing_lb_config": {"use_hostname_for_hashing": True}}}, "type"),
    ],
)
def test_hash_tables_that_are_refused(given: Data, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(lb_policy="RING_HASH", **given)
    assert [problem.field.rpartition(".")[2] for problem in caught.value.problems] == [path]
