"""Subsets: who is picked for requests that want hosts with labels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.balancer.levels import Rules
from sidecar.balancer.subsets import SubsetPicker
from sidecar.config.metadata_match import compiled, labels
from sidecar.config.model import Balancing, Health, LbPolicy, SubsetFallback, Subsets, SubsetSelector
from tests.unit.sidecar.balancer.build import host, levels, ports, rules, wanted

ANY, DEFAULT, KEYS, NO = (
    SubsetFallback.ANY_ENDPOINT,
    SubsetFallback.DEFAULT_SUBSET,
    SubsetFallback.KEYS_SUBSET,
    SubsetFallback.NO_FALLBACK,
)
HOSTS = [
    host(1, labels={"stage": "prod", "version": 1}),
    host(2, labels={"stage": "prod", "version": 2}),
    host(3, labels={"stage": "dev", "version": "1"}),
    host(4),
]
STAGE = SubsetSelector(("stage",))
BOTH = SubsetSelector(("stage", "version"))


def picker(*selectors: SubsetSelector, by: Rules | None = None, **more: Any) -> SubsetPicker:
    return SubsetPicker(levels(HOSTS), Subsets(selectors, **more), by or rules())


def found(pick: SubsetPicker, fields: dict[str, Any] | None = None) -> set[int]:
    """Whom requests reach that want these labels, 0: nobody."""
    return set(ports(pick, 40, wanted(compiled(fields or {}))))


def test_hosts_of_one_subset_share_its_requests() -> None:
    by = rules()
    pick = picker(STAGE, by=by)
    assert found(pick, {"stage": "prod"}) == {1, 2}
    assert found(pick, {"stage": "dev"}) == {3}
    assert by.stats.lb_subsets_selected.value == 80
    assert pick.known == {labels({"stage": "prod"}), labels({"stage": "dev"})}


def test_values_are_compared_with_their_types() -> None:
    pick = picker(SubsetSelector(("version",)))
    assert found(pick, {"version": 1}) == {1}
    assert found(pick, {"version": "1"}) == {3}
    assert found(pick, {"version": True}) == {0}


def test_all_keys_of_a_selector_are_needed_and_no_more() -> None:
    pick = picker(BOTH)
    assert found(pick, {"version": 2, "stage": "prod"}) == {2}
    assert found(pick, {"stage": "prod"}) == {0}
    assert found(pick, {"stage": "prod", "version": 2, "x": 1}) == {0}


@pytest.mark.parametrize(
    ("config", "picked", "counted"),
    [
        ({}, {0}, 0),
        ({"fallback": ANY}, {1, 2, 3, 4}, 40),
        ({"fallback": DEFAULT, "default": labels({"stage": "dev"})}, {3}, 40),
        ({"fallback": DEFAULT, "default": labels({"stage": "no"})}, {0}, 0),
        ({"fallback": DEFAULT}, {1, 2, 3, 4}, 40),  # nothing is asked for: all hosts have it
    ],
)
@pytest.mark.parametrize("fields", [{}, {"stage": "none"}, {"other": 1}])
def test_fallbacks_of_the_cluster(
    config: dict[str, Any], picked: set[int], counted: int, fields: dict[str, Any]
) -> None:
    by = rules()
    assert found(picker(STAGE, by=by, **config), fields) == picked
    assert by.stats.lb_subsets_fallback.value == counted


def test_panic_mode_any() -> None:
    by = rules()
    pick = picker(STAGE, by=by, fallback=DEFAULT, default=labels({"stage": "no"}), panic_mode_any=True)
    assert found(pick) == {1, 2, 3, 4}
    assert (by.stats.lb_subsets_fallback.value, by.stats.lb_subsets_fallback_panic.value) == (0, 40)


@pytest.mark.parametrize(
    ("selector", "picked"),
    [
        (SubsetSelector(BOTH.keys, ANY), {1, 2, 3, 4}),
        (SubsetSelector(BOTH.keys, NO), {0}),
        (SubsetSelector(BOTH.keys, DEFAULT), {3}),
        (SubsetSelector(BOTH.keys, KEYS, frozenset(("stage",))), {1, 2}),
        (BOTH, {1, 2, 3, 4}),
    ],
)
def test_fallbacks_of_a_selector(selector: SubsetSelector, picked: set[int]) -> None:
    pick = picker(STAGE, selector, fallback=ANY, default=labels({"stage": "dev"}))
    assert found(pick, {"stage": "prod", "version": 9}) == picked


def test_fewer_keys_may_lead_to_the_clusters_fallback() -> None:
    pick = picker(SubsetSelector(BOTH.keys, KEYS, frozenset(("version",))), fallback=ANY)
    assert found(pick, {"stage": "prod", "version": 9}) == {1, 2, 3, 4}


def test_a_selector_that_another_began_with_has_no_fallback_of_its_own() -> None:
    assert found(picker(BOTH, SubsetSelector(("stage",), ANY)), {"stage": "none"}) == {0}
    assert found(picker(SubsetSelector(("stage",), ANY), BOTH), {"stage": "none"}) == {1, 2, 3, 4}


def test_a_list_is_any_of_its_values() -> None:
    members = [
        host(1, labels={"a": ["x", "y"], "b": [1, 2]}),
        host(2, labels={"a": "y", "b": 2}),
        host(3, labels={"a": []}),
    ]

    def pick(**more: Any) -> SubsetPicker:
        return SubsetPicker(
            levels(members), Subsets((SubsetSelector(("a", "b")), SubsetSelector(("a",))), **more), rules()
        )

    assert found(pick(list_as_any=True), {"a": "y", "b": 2}) == {1, 2}
    assert found(pick(list_as_any=True), {"a": "x", "b": 2}) == {1}
    assert found(pick(list_as_any=True), {"a": []}) == {0}
    assert found(pick(), {"a": "y", "b": 2}) == {2}
    assert found(pick(), {"a": ["x", "y"]}) == {1}


def test_a_subset_of_one_host() -> None:
    members = [
        host(1, labels={"id": "a"}, health=Health.UNHEALTHY),
        host(2, labels={"id": "a"}),
        host(3, labels={"id": "b"}),
    ]
    pick = SubsetPicker(levels(members), Subsets((SubsetSelector(("id",), single_host=True),)), rules())
    assert found(pick, {"id": "a"}) == {1}  # its health is not asked for
    assert found(pick, {"id": "b"}) == {3}
    assert pick.duplicates == 1


def test_alternatives_are_tried_in_turn() -> None:
    wish = {"stage": "x", "fallback_list": [{"stage": "none"}, {"stage": "dev"}]}
    assert found(picker(STAGE, fallback_list=True), wish) == {3}
    assert found(picker(STAGE, fallback_list=True), {"stage": "dev", "fallback_list": []}) == {3}
    assert found(picker(STAGE, fallback_list=True), {"stage": "dev", "fallback_list": [{"stage": "none"}]}) == {0}
    assert found(picker(STAGE), {"stage": "dev", "fallback_list": [{"stage": "dev"}]}) == {0}  # a label like others


def test_redundant_keys() -> None:
    wish = {"stage": "prod", "version": 2, "x": 1}
    assert found(picker(BOTH, STAGE, redundant_keys=True), wish) == {2}
    assert found(picker(STAGE, BOTH, redundant_keys=True), {"stage": "prod", "x": 1}) == {1, 2}


def test_a_subset_panics_by_itself() -> None:
    members = [host(1, labels={"a": 1}, health=Health.UNHEALTHY), *(host(port, labels={"a": 2}) for port in (2, 3, 4))]
    selectors = (SubsetSelector(("a",)),)
    by = rules()
    assert found(SubsetPicker(levels(members), Subsets(selectors), by), {"a": 1}) == {1}
    assert by.stats.lb_healthy_panic.value == 40
    calm = rules(Balancing(panic_threshold=0.0))
    assert found(SubsetPicker(levels(members), Subsets(selectors, fallback=ANY), calm), {"a": 1}) == {0}


@pytest.mark.parametrize(
    ("aware", "scale", "shares"), [(False, False, (50, 50)), (True, False, (75, 25)), (True, True, (50, 50))]
)
def test_weights_of_localities(aware: bool, scale: bool, shares: tuple[int, int]) -> None:
    members = [
        host(1, zone="a", zone_weight=3, labels={"v": 1}),
        host(3, zone="a", zone_weight=3),
        host(4, zone="a", zone_weight=3),
        host(2, zone="b", zone_weight=1, labels={"v": 1}),
    ]
    config = Subsets((SubsetSelector(("v",)),), locality_weight_aware=aware, scale_locality_weight=scale)
    pick = SubsetPicker(levels(members), config, rules(Balancing(locality_weighted=True)))
    counted = ports(pick, 100, wanted(compiled({"v": 1})))
    assert (counted[1], counted[2]) == shares


def test_other_policies_within_a_subset() -> None:
    pick = picker(STAGE, by=rules(Balancing(LbPolicy.RING_HASH)))
    assert len(ports(pick, 40, wanted(compiled({"stage": "prod"}), key=7))) == 1


def test_labels_are_json() -> None:
    assert labels({"b": {"y": 1, "x": None}, "a": 1}) == (("a", "1"), ("b", json.dumps({"x": None, "y": 1})))
