import yaml

from control_plane.translate.policy import DEFAULT, Policy, port_policy, subset_policy
from mesh.istio.destination_rule import TrafficPolicy
from mesh.istio.load_balancing import SimpleLB

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
