from typing import Any

import pytest
from envoy.config.core.v3.base_pb2 import OUTBOUND
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from control_plane.translate.index import Index
from control_plane.translate.listeners import captured_http_ports, outbound_listeners
from control_plane.translate.viewer import viewer_of
from control_plane.world import MeshConfig, OutboundPolicy, Service
from mesh.node import Node, ServicePort
from tests.simulation.worlds import service, sidecar, transparent, world

TCP = ServicePort(5432, "db", "TCP")


def listeners(node: Node, *services: Service, mesh: MeshConfig = MeshConfig()) -> Any:  # noqa: B008 - frozen
    index = Index(world(*services, mesh=mesh))
    return outbound_listeners(index, viewer_of(index, node), node)


def target(chain: Any) -> str:
    """Where a filter chain leads: the name of its routes or of its cluster."""
    manager, proxy = HttpConnectionManager(), TcpProxy()
    (only,) = chain.filters
    if only.typed_config.Unpack(manager):
        return str(manager.rds.route_config_name)
    assert only.typed_config.Unpack(proxy)
    return str(proxy.cluster)


def where(listener: Any) -> tuple[str, int]:
    address = listener.address.socket_address
    return address.address, address.port_value


@pytest.mark.parametrize(("address", "bound"), [("127.0.1.7", "127.0.1.7"), ("10.0.0.1", "127.0.0.1")])
def test_the_explicit_proxy_is_for_this_machine_only(address: str, bound: str) -> None:
    ((name, listener),) = listeners(sidecar(address=address), service("a", 80)).items()
    assert (name, where(listener), listener.traffic_direction) == ("virtualOutbound", (bound, 15001), OUTBOUND)
    (chain,) = listener.filter_chains
    assert target(chain) == "http_proxy"
    manager = HttpConnectionManager()
    chain.filters[0].typed_config.Unpack(manager)
    assert [upgrade.upgrade_type for upgrade in manager.upgrade_configs] == ["websocket", "CONNECT"]


def test_captured_connections_come_by_one_door() -> None:
    door = listeners(transparent(), service("a", 80))["virtualOutbound"]
    assert where(door) == ("0.0.0.0", 15001)
    assert door.use_original_dst.value
    (explicit,) = door.filter_chains
    assert (explicit.filter_chain_match.destination_port.value, target(explicit)) == (15001, "http_proxy")
    assert target(door.default_filter_chain) == "PassthroughCluster"
    strict = MeshConfig(outbound_policy=OutboundPolicy.REGISTRY_ONLY)
    assert target(listeners(transparent(), mesh=strict)["virtualOutbound"].default_filter_chain) == "BlackHoleCluster"


def test_a_listener_for_every_captured_port() -> None:
    found = listeners(transparent(), service("a", 80, 90), service("b", 80), service("c", TCP))
    assert list(found) == ["virtualOutbound", "0.0.0.0_80", "0.0.0.0_90"]
    listener = found["0.0.0.0_80"]
    assert not listener.bind_to_port.value and listener.HasField("bind_to_port")
    assert [target(chain) for chain in listener.filter_chains] == ["80"]
    assert not listener.listener_filters and not listener.HasField("default_filter_chain")


def test_bytes_are_told_apart_by_address() -> None:
    found = listeners(transparent(), service("db", TCP, addresses=("10.96.0.1", "10.97.0.0/16")), service("a", 5432))
    assert list(found) == ["virtualOutbound", "0.0.0.0_5432", "10.96.0.1_5432"]
    assert where(found["10.96.0.1_5432"]) == ("10.96.0.1", 5432)
    cluster = "outbound|5432||db.default.svc.cluster.local"
    assert [target(chain) for chain in found["10.96.0.1_5432"].filter_chains] == [cluster]
    block, http = found["0.0.0.0_5432"].filter_chains
    (network,) = block.filter_chain_match.prefix_ranges
    assert (network.address_prefix, network.prefix_len.value, target(block)) == ("10.97.0.0", 16, cluster)
    assert target(http) == "5432"


def test_of_two_services_at_one_address_the_first_has_it() -> None:
    found = listeners(transparent(), *(service(name, TCP, addresses=("10.96.0.1",)) for name in ("b", "a")))
    assert [target(c) for c in found["10.96.0.1_5432"].filter_chains] == ["outbound|5432||a.default.svc.cluster.local"]


def test_an_undeclared_protocol_is_detected() -> None:
    found = listeners(transparent(), service("odd", ServicePort(7000, "x", "")))["0.0.0.0_7000"]
    (http,) = found.filter_chains
    assert list(http.filter_chain_match.application_protocols) == ["http/1.0", "http/1.1", "h2c"]
    assert target(found.default_filter_chain) == "PassthroughCluster"
    assert [each.name for each in found.listener_filters] == ["envoy.filters.listener.http_inspector"]
    assert found.continue_on_listener_filters_timeout


def test_a_service_cannot_have_the_proxys_own_ports() -> None:
    found = listeners(transparent(), service("a", 15001, 15006, 15090, addresses=("10.0.0.9",)))
    assert list(found) == ["virtualOutbound"]
    assert captured_http_ports(Index(world(service("a", 15001, 80))), transparent()) == (80,)
    assert captured_http_ports(Index(world(service("a", 80))), sidecar()) == ()
