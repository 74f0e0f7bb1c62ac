from typing import Any

import pytest
from envoy.config.core.v3.health_check_pb2 import UNHEALTHY, UNKNOWN
from hypothesis import given
from hypothesis import strategies as st

from control_plane.translate.endpoints import MAX_TOTAL_WEIGHT, assignment, dns_assignment, selected, workload_text
from control_plane.world import Instance
from mesh.node import Locality
from tests.simulation.worlds import DEMO_PORT, instance


def made(*instances: Instance) -> Any:
    return assignment("name", instances, DEMO_PORT)


def hosts(message: Any) -> list[tuple[str, int, int]]:
    """(address, port, health) of every endpoint."""
    return [
        (e.endpoint.address.socket_address.address, e.endpoint.address.socket_address.port_value, e.health_status)
        for locality in message.endpoints
        for e in locality.lb_endpoints
    ]


def test_without_instances_there_is_an_empty_assignment() -> None:
    assert (made().cluster_name, list(made().endpoints)) == ("name", [])


def test_the_order_is_stable() -> None:
    instances = [instance(f"10.0.0.{n}") for n in (3, 1, 2)]
    assert [host for host, _, _ in hosts(made(*instances))] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_one_that_is_not_healthy_is_said_to_be_so() -> None:
    found = hosts(made(instance("10.0.0.1"), instance("10.0.0.2", healthy=False)))
    assert [health for _, _, health in found] == [UNKNOWN, UNHEALTHY]


def test_when_none_is_healthy_all_are_tried() -> None:
    found = hosts(made(instance("10.0.0.1", healthy=False), instance("10.0.0.2", healthy=False)))
    assert [health for _, _, health in found] == [UNKNOWN, UNKNOWN]


def test_names_and_ports_that_are_not_served_are_left_out() -> None:
    assert hosts(made(instance("a.example"), instance("10.0.0.1", ports={1: 2}), instance("10.0.0.2"))) == [
        ("10.0.0.2", 15006, UNKNOWN)
    ]


def test_of_two_at_one_address_the_healthy_one_counts() -> None:
    twice = made(instance("10.0.0.1", "v1", healthy=False), instance("10.0.0.1", "v2"), instance("10.0.0.2"))
    assert [health for _, _, health in hosts(twice)] == [UNKNOWN, UNKNOWN]


def test_localities_weigh_what_is_in_them() -> None:
    far = Locality("eu", "eu-1", "b")
    message = made(
        instance("10.0.0.1", weight=3, locality=far), instance("10.0.0.2", locality=far), instance("10.0.0.3")
    )
    found = [(e.locality.region, e.load_balancing_weight.value) for e in message.endpoints]
    assert found == [("", 1), ("eu", 4)]
    assert message.endpoints[0].HasField("locality")


@given(st.lists(st.integers(0, MAX_TOTAL_WEIGHT), max_size=6))
def test_weights_never_add_up_to_too_much(weights: list[int]) -> None:
    message = made(*(instance(f"10.0.0.{n}", weight=weight) for n, weight in enumerate(weights)))
    each = [e.load_balancing_weight.value for locality in message.endpoints for e in locality.lb_endpoints]
    assert sum(each) <= MAX_TOTAL_WEIGHT
    assert all(weight >= 1 for weight in each)


def test_endpoints_say_who_they_are() -> None:
    message = made(instance("10.0.0.1", "v2"))
    (endpoint,) = message.endpoints[0].lb_endpoints
    assert endpoint.metadata.filter_metadata["istio"]["workload"] == "reviews-v2;default;reviews;v2;Kubernetes"
    bare = Instance("10.0.0.1", {}, workload="w", namespace="n", cluster_id="c")
    assert workload_text(bare) == "w;n;w;latest;c"


def test_subsets_are_picked_by_all_their_labels() -> None:
    both = (instance("10.0.0.1", "v1"), instance("10.0.0.2", "v2"))
    assert selected(both, {}) == both
    assert selected(both, {"version": "v2"}) == both[1:]
    assert selected(both, {"version": "v2", "app": "x"}) == ()


def test_names_are_looked_up_on_the_services_port_if_they_have_none() -> None:
    message = dns_assignment("name", (Instance("a.example", {80: 8080}), Instance("b.example", {})), 80)
    assert [(host, port) for host, port, _ in hosts(message)] == [("a.example", 8080), ("b.example", 80)]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({"app": "a", "version": "v"}, "a;v"),
        ({"service.istio.io/canonical-name": "n", "app": "a"}, "n;latest"),
        ({"service.istio.io/canonical-revision": "r", "version": "v"}, "w;r"),
        ({}, "w;latest"),
    ],
)
def test_the_canonical_name_goes_before_the_app(labels: dict[str, str], names: str) -> None:
    made = Instance("10.0.0.1", {80: 80}, labels, workload="w", namespace="ns")
    assert workload_text(made) == f"w;ns;{names};{made.cluster_id}"
