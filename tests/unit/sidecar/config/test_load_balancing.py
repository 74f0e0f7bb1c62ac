"""How a cluster picks hosts."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import (
    Cluster,
    LbPolicy,
)
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
