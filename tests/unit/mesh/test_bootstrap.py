"""The bootstrap file: what is static in it, where its doors are, and that it reads back as the node it was made from."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mesh.bootstrap import Ports, admin_address, bootstrap, is_loopback, render
from mesh.node import Node, ServicePort

NODE = Node(
    kind="sidecar",
    address="127.0.1.9",
    name="reviews-v1",
    service="reviews",
    labels={"app": "reviews", "version": "v1"},
    ports=(ServicePort(9080),),
)


def listener(config: dict[str, Any], name: str) -> tuple[str, int]:
    (found,) = (entry for entry in config["static_resources"]["listeners"] if entry["name"] == name)
    socket = found["address"]["socket_address"]
    return socket["address"], socket["port_value"]


def cluster(config: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (entry for entry in config["static_resources"]["clusters"] if entry["name"] == name)
    return dict(found)


def test_loopback_workload_has_every_door_on_its_own_address() -> None:
    config = bootstrap(NODE, "127.0.0.1", 15010)
    assert listener(config, "prometheus") == ("127.0.1.9", 15090)
    assert listener(config, "health") == ("127.0.1.9", 15021)
    assert config["admin"]["address"]["socket_address"] == {"address": "127.0.1.9", "port_value": 15000}


@pytest.mark.parametrize(("address", "door"), [("10.1.2.3", "0.0.0.0"), ("fd00::7", "::")])
def test_admin_is_never_reachable_from_outside(address: str, door: str) -> None:
    config = bootstrap(Node("sidecar", address, "a"), "control-plane", 15010)
    assert config["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    assert listener(config, "prometheus") == (door, 15090)
    assert listener(config, "health") == (door, 15021)


def test_only_the_pages_for_machines_are_public() -> None:
    config = bootstrap(NODE, "127.0.0.1", 15010)
    routes = [
        route
        for door in config["static_resources"]["listeners"]
        for chain in door["filter_chains"]
        for network in chain["filters"]
        for host in network["typed_config"]["route_config"]["virtual_hosts"]
        for route in host["routes"]
    ]
    assert [route["match"] for route in routes] == [
        {"path": path}
        for path in ("/stats/prometheus", "/breakers", "/clusters", "/logs", "/traces", "/why", "/healthz/ready")
    ]
    assert [route["route"]["prefix_rewrite"] for route in routes] == [
        "/stats/prometheus",
        "/breakers",
        "/clusters",
        "/logs",
        "/traces",
        "/why",
        "/ready",
    ]


@pytest.mark.parametrize(("host", "kind"), [("127.0.0.1", "STATIC"), ("::1", "STATIC"), ("istiod", "STRICT_DNS")])
def test_control_plane_is_found_by_address_or_by_name(host: str, kind: str) -> None:
    assert cluster(bootstrap(NODE, host, 15010), "xds-grpc")["type"] == kind


def test_reconnects_within_two_seconds() -> None:
    ads = bootstrap(NODE, "127.0.0.1", 15010)["dynamic_resources"]["ads_config"]
    assert ads["api_type"] == "DELTA_GRPC"
    assert ads["grpc_services"][0]["envoy_grpc"]["retry_policy"]["retry_back_off"]["max_interval"] == "2s"


def test_ports_of_proxies_on_one_address_never_meet() -> None:
    plans = [Ports.shared(index) for index in range(16)]
    numbers = [
        port for p in plans for port in (p.admin, p.outbound, p.inbound, p.inbound + 100, p.health, p.prometheus)
    ]
    assert len(set(numbers)) == len(numbers)
    assert Ports.shared(0) == Ports()


def test_node_carries_ports_that_are_not_istios() -> None:
    metadata = bootstrap(NODE, "127.0.0.1", 15010, Ports.shared(2))["node"]["metadata"]
    assert (metadata["OUTBOUND_PORT"], metadata["INBOUND_PORT"]) == (17001, 17006)
    assert (metadata["ENVOY_PROMETHEUS_PORT"], metadata["ENVOY_STATUS_PORT"]) == (17090, 17021)
    assert "INBOUND_PORT" not in bootstrap(NODE, "127.0.0.1", 15010)["node"]["metadata"]


def test_node_reads_back_what_was_written() -> None:
    node = bootstrap(NODE, "127.0.0.1", 15010, Ports.shared(1))["node"]
    read = Node.from_xds(node["id"], node["metadata"])
    assert (read.name, read.service, read.labels, read.address) == ("reviews-v1", "reviews", NODE.labels, "127.0.1.9")
    assert (read.outbound_port, read.inbound(0), read.inbound(1)) == (16001, 16006, 16106)


def test_rendered_yaml_is_the_same_data_without_aliases() -> None:
    config = bootstrap(NODE, "127.0.0.1", 15010)
    text = render(config)
    assert yaml.safe_load(text) == config
    assert "&id" not in text


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.1.9", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("x", False)],
)
def test_is_loopback(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
    assert admin_address(address) == (address if expected else "127.0.0.1")
