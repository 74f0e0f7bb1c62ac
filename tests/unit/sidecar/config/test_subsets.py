"""lb_subset_config, old and as an extension."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import Balancing, Cluster, LbPolicy, SubsetFallback, Subsets, SubsetSelector
from tests.unit.sidecar.config.build import LB, Data, cluster_of, parts, problems

CONFIG: Data = {
    "fallback_policy": "DEFAULT_SUBSET",
    "default_subset": {"stage": "prod", "version": 1},
    "subset_selectors": [
        {"keys": ["stage"], "fallback_policy": "ANY_ENDPOINT", "single_host_per_subset": True},
        {"keys": ["version", "stage"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["stage"]},
    ],
    "locality_weight_aware": True,
    "scale_locality_weight": True,
    "panic_mode_any": True,
    "list_as_any": True,
    "metadata_fallback_policy": "FALLBACK_LIST",
}
STAGE = SubsetSelector(("stage",), SubsetFallback.ANY_ENDPOINT, single_host=True)
BOTH = SubsetSelector(("stage", "version"), SubsetFallback.KEYS_SUBSET, frozenset(("stage",)))
DEFAULT = (("stage", '"prod"'), ("version", "1"))


def changed(**fields: Any) -> Cluster:
    given = parts()
    given.cluster.update(fields)
    return cluster_of(given)


def extension(*policies: Data, **fields: Any) -> Data:
    def typed(config: Data) -> Data:
        return {"typed_extension_config": {"name": "p", "typed_config": config}}

    inner = {"policies": [typed(each) for each in policies]}
    return {"policies": [typed({"@type": f"{LB}subset.v3.Subset", **fields, "subset_lb_policy": inner})]}


def test_everything() -> None:
    cluster = changed(lb_policy="RANDOM", lb_subset_config=CONFIG)
    expected = Subsets((STAGE, BOTH), SubsetFallback.DEFAULT_SUBSET, DEFAULT, True, True, True, True, True)
    assert cluster.balancing == Balancing(LbPolicy.RANDOM, subsets=expected)


def test_without_selectors_there_are_none() -> None:
    assert changed(lb_subset_config={"fallback_policy": "ANY_ENDPOINT"}).balancing.subsets is None


def test_the_extension_says_the_same() -> None:
    inner = {"@type": f"{LB}random.v3.Random"}
    cluster = changed(load_balancing_policy=extension(inner, **CONFIG, allow_redundant_keys=True))
    expected = Subsets((BOTH, STAGE), SubsetFallback.DEFAULT_SUBSET, DEFAULT, True, True, True, True, True, True)
    assert cluster.balancing == Balancing(LbPolicy.RANDOM, subsets=expected)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (
            {"keys": ["a"], "fallback_keys_subset": ["a"]},
            "fallback_keys_subset: is for the fallback_policy KEYS_SUBSET",
        ),
        ({"keys": ["a"], "fallback_policy": "KEYS_SUBSET"}, "fallback_keys_subset: is required"),
        (
            {"keys": ["a"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["a"]},
            "fallback_keys_subset: must be some of the keys",
        ),
        (
            {"keys": ["a", "b"], "fallback_policy": "KEYS_SUBSET", "fallback_keys_subset": ["c"]},
            "fallback_keys_subset: must be some of the keys",
        ),
    ],
)
def test_selectors_that_are_refused(selector: Data, expected: str) -> None:
    given = parts()
    given.cluster.update(lb_subset_config={"subset_selectors": [selector]})
    assert [expected in problem for problem in problems(given)] == [True]


def test_no_subsets_of_subsets_and_none_of_provided_hosts() -> None:
    selectors = {"subset_selectors": [{"keys": ["a"]}]}
    inner = extension({"@type": f"{LB}random.v3.Random"}, **selectors)["policies"][0]["typed_extension_config"][
        "typed_config"
    ]
    given = parts()
    given.cluster.update(load_balancing_policy=extension(inner, **selectors))
    assert ["subsets of subsets" in problem for problem in problems(given)] == [True]
    given = parts()
    given.static["clusters"].append(
        {"name": "o", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "lb_subset_config": selectors}
    )
    assert ["is not for clusters of CLUSTER_PROVIDED hosts" in problem for problem in problems(given)] == [True]
