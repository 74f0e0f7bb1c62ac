"""Who runs where in the demo."""

from __future__ import annotations

import pytest

from mesh.cli.demo_plan import make_plan


@pytest.mark.parametrize(("network", "distinct"), [("", False), ("127.9.9", False), ("", True), ("127.9.9", True)])
def test_no_socket_is_planned_twice(network: str, distinct: bool) -> None:
    sockets = [socket for _, socket in make_plan(8080, network, distinct, grpc=True).sockets()]
    assert len(set(sockets)) == len(sockets)


def test_every_workload_has_its_address_and_istios_ports() -> None:
    plan = make_plan(8080)
    assert {member.node.address for member in plan.workloads}.isdisjoint({"127.0.0.1"})
    assert {member.ports.outbound for member in plan.workloads} == {15001}
    assert {member.app[1] for member in plan.workloads} == {9080}
    assert plan.url == "http://127.0.0.1:8080/productpage"


def test_on_one_address_apps_listen_where_their_proxies_look() -> None:
    for member in make_plan(8080, distinct_ports=True).workloads:
        (port,) = member.node.ports
        assert (port.number, member.node.app_address, port.app_port) == (9080, "127.0.0.1", member.app[1])
        assert str(member.app[1]) in member.command


def test_a_network_holds_everything() -> None:
    plan = make_plan(8080, "127.9.9")
    assert all(host.startswith("127.9.9.") for _, (host, _) in plan.sockets())


@pytest.mark.parametrize("distinct", [False, True])
def test_ratings_are_called_by_grpc_where_that_is_asked_for(distinct: bool) -> None:
    plan = make_plan(8080, distinct_ports=distinct, grpc=True)
    members = {member.name: member for member in plan.workloads}
    ratings = members["ratings-v1"]
    assert [(port.number, port.protocol) for port in ratings.node.ports] == [(9080, "HTTP"), (9081, "GRPC")]
    assert ratings.command[-2:] == ("--grpc-port", str(ratings.node.ports[1].app_port))
    assert members["reviews-v2"].command[-2:] == ("--ratings", "grpc://ratings:9081")
    assert not any("grpc" in word for member in make_plan(8080).workloads for word in member.command)
