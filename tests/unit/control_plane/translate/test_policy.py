from dataclasses import replace

import pytest
import yaml

from control_plane.translate.policy import DEFAULT, Policy, port_policy, service_policy, subset_policy
from mesh.istio.destination_rule import TrafficPolicy
from mesh.istio.load_balancing import SimpleLB
from tests.simulation.worlds import service

HOST = """
loadBalancer: {simple: RANDOM}
connectionPool: {tcp: {maxConnections: 1}}
portLevelSettings: [{port: {number: 80}, outlierDetection: {interval: 1s}}]
"""


def policy(text: str) -> TrafficPolicy:
    return TrafficPolicy.model_validate(yaml.safe_load(text))


def set_in(found: Policy) -> list[str]:
    return [name for name in Policy.__slots__ if getattr(found, name) not in (None, False)]


def test_without_a_rule_there_is_the_default() -> None:
    assert port_policy(None, 80) is DEFAULT


def test_settings_of_a_port_replace_those_of_the_host() -> None:
    assert set_in(port_policy(policy(HOST), 80)) == ["outlier_detection"]
    assert set_in(port_policy(policy(HOST), 81)) == ["load_balancer", "connection_pool"]


def test_a_subset_replaces_block_by_block() -> None:
    base = port_policy(policy(HOST), 81)
    found = subset_policy(base, policy("loadBalancer: {simple: ROUND_ROBIN}"), 81)
    assert set_in(found) == ["load_balancer", "connection_pool"]
    assert found.load_balancer is not None and found.load_balancer.simple is SimpleLB.ROUND_ROBIN
    assert subset_policy(base, None, 81) is base


def test_a_ports_settings_in_a_subset_replace_everything() -> None:
    base = port_policy(policy(HOST), 81)
    subset = policy("portLevelSettings: [{port: {number: 81}, outlierDetection: {}}]\nloadBalancer: {simple: RANDOM}")
    assert set_in(subset_policy(base, subset, 81)) == ["outlier_detection"]


def test_each_block_of_the_host_holds_where_the_subset_says_nothing() -> None:
    text = (
        "{loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 1}}, "
        "outlierDetection: {interval: 1s}, retryBudget: {percent: 10}}"
    )
    base = port_policy(policy(text), 80)
    assert subset_policy(base, policy("retryBudget: {percent: 10}"), 80) == base
    other = policy(
        text.replace("RANDOM", "ROUND_ROBIN").replace("1s", "2s").replace(": 1}", ": 2}").replace("10", "20")
    )
    assert subset_policy(base, other, 80) == port_policy(other, 80)
    assert all(getattr(subset_policy(base, other, 80), name) != getattr(base, name) for name in set_in(base))


@pytest.mark.parametrize(
    ("rule", "affinity", "near", "sticky", "prefers"),
    [
        (None, False, "", False, False),
        (None, True, "", True, False),
        (None, False, "PreferClose", False, True),
        ("{loadBalancer: {simple: RANDOM}}", True, "", False, False),
        ("{connectionPool: {tcp: {maxConnections: 1}}}", True, "", True, False),
    ],
)
def test_a_services_own_wishes_hold_where_no_rule_says_how_to_balance(
    rule: str | None, affinity: bool, near: str, sticky: bool, prefers: bool
) -> None:
    made = replace(service("reviews"), affinity=affinity, near=near)
    found = service_policy(made, policy(rule) if rule is not None else None, 9080)
    assert (found.load_balancer is not None and found.load_balancer.consistent_hash is not None) is sticky
    assert found.prefers_near is prefers
    if prefers:
        assert found.load_balancer is not None
        assert found.load_balancer.locality_lb_setting is not None
        assert found.load_balancer.locality_lb_setting.failover_priority == (
            "topology.kubernetes.io/region",
            "topology.kubernetes.io/zone",
        )
