from typing import Any

from envoy.config.core.v3.base_pb2 import INBOUND
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.translate.cluster_policy import HTTP_OPTIONS
from control_plane.translate.inbound import inbound_clusters, inbound_listeners
from control_plane.translate.index import Index
from control_plane.world import MeshConfig
from mesh.node import Node, ServicePort
from tests.simulation.worlds import instance, service, sidecar, transparent, world

EMPTY = Index(world())
WEB, ODD, DB = ServicePort(80, target=8080), ServicePort(7000, "odd", ""), ServicePort(5432, "db", "TCP")


def target(chain: Any) -> str:
    """The cluster that a filter chain leads to."""
    manager, proxy = HttpConnectionManager(), TcpProxy()
    (only,) = chain.filters
    if only.typed_config.Unpack(manager):
        (host,) = manager.route_config.virtual_hosts
        return f"http {host.routes[0].route.cluster}"
    assert only.typed_config.Unpack(proxy)
    return str(proxy.cluster)


def places(listeners: Any) -> dict[str, tuple[str, int]]:
    return {
        name: (each.address.socket_address.address, each.address.socket_address.port_value)
        for name, each in listeners.items()
    }


def test_without_interception_each_port_has_a_listener_of_its_own() -> None:
    found = inbound_listeners(EMPTY, sidecar("a", WEB, ODD, DB, address="127.0.1.5"))
    assert places(found) == {
        "virtualInbound": ("127.0.1.5", 15006),
        "inbound_127.0.1.5_15106": ("127.0.1.5", 15106),
        "inbound_127.0.1.5_15206": ("127.0.1.5", 15206),
    }
    chains = [[target(chain) for chain in listener.filter_chains] for listener in found.values()]
    assert chains == [["http inbound|8080||"], ["http inbound|7000||", "inbound|7000||"], ["inbound|5432||"]]
    assert [bool(listener.listener_filters) for listener in found.values()] == [False, True, False]
    assert all(listener.traffic_direction == INBOUND for listener in found.values())


def test_browsers_grpc_is_taken_where_a_port_says_so() -> None:
    for protocol, filters in (("GRPC-WEB", ["grpc_web", "router"]), ("GRPC", ["router"])):
        listeners = inbound_listeners(EMPTY, sidecar("a", ServicePort(80, "x", protocol), address="127.0.1.5"))
        manager = HttpConnectionManager()
        assert listeners["virtualInbound"].filter_chains[0].filters[0].typed_config.Unpack(manager)
        assert [each.name.rpartition(".")[2] for each in manager.http_filters] == filters


def test_a_client_without_a_service_has_none() -> None:
    client = Node("sidecar", "127.0.1.7", "client")
    assert inbound_listeners(EMPTY, client) == {}
    assert inbound_clusters(EMPTY, client) == {}


def test_with_interception_one_listener_tells_ports_apart() -> None:
    ((name, listener),) = inbound_listeners(EMPTY, transparent("a", WEB, ODD)).items()
    assert name == "virtualInbound"
    assert places({name: listener})[name] == ("0.0.0.0", 15006)
    chains = [(c.filter_chain_match.destination_port.value, target(c)) for c in listener.filter_chains]
    assert chains == [
        (15001, "BlackHoleCluster"),
        (15006, "BlackHoleCluster"),
        (7000, "http inbound|7000||"),
        (7000, "inbound|7000||"),
        (8080, "http inbound|8080||"),
    ]
    assert target(listener.default_filter_chain) == "InboundPassthroughCluster"
    assert [each.name.rpartition(".")[2] for each in listener.listener_filters] == ["original_dst", "http_inspector"]


def test_clusters_lead_to_the_app() -> None:
    found = inbound_clusters(EMPTY, sidecar("a", WEB, DB, app_address="127.0.1.5"))
    assert list(found) == ["inbound|5432||", "inbound|8080||"]
    cluster = found["inbound|8080||"]
    address = cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address
    assert (address.address, address.port_value) == ("127.0.1.5", 8080)
    (of,) = cluster.metadata.filter_metadata["istio"]["services"]
    assert dict(of) == {"host": "a.default.svc.cluster.local", "name": "a", "namespace": "default"}


def test_idle_connections_to_the_app_are_closed_before_it_closes_them() -> None:
    found = inbound_clusters(EMPTY, sidecar("a", WEB, DB))
    options = HttpProtocolOptions()
    assert found["inbound|8080||"].typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    assert options.common_http_protocol_options.idle_timeout.seconds == 4
    assert not found["inbound|5432||"].typed_extension_protocol_options
    off = Index(world(mesh=MeshConfig(app_idle_timeout=0)))
    assert not inbound_clusters(off, sidecar("a", WEB))["inbound|8080||"].typed_extension_protocol_options


def test_requests_go_to_the_app_without_a_timeout() -> None:
    listener = inbound_listeners(EMPTY, sidecar("a", WEB))["virtualInbound"]
    manager = HttpConnectionManager()
    listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
    assert manager.server_name == "istio-envoy"
    (host,) = manager.route_config.virtual_hosts
    (route,) = host.routes
    assert (host.name, route.name) == ("inbound|http|80", "default")
    assert route.route.HasField("timeout") and route.route.timeout.seconds == 0
    assert route.route.retry_policy.retry_on == "reset-before-request"
    assert route.decorator.operation == "a.default.svc.cluster.local:80/*"


def test_ports_that_a_declared_service_gives_the_workload() -> None:
    node = transparent("a", WEB)
    mine = instance("10.0.0.1", ports={443: 8443, 80: 8080}, node_id=node.id)
    declared = service("declared", ServicePort(443, "x", "HTTP"), ServicePort(80, "y", "TCP"))
    index = Index(world(declared, instances={"declared": [mine]}))
    assert list(inbound_clusters(index, node)) == ["inbound|8080||", "inbound|8443||"]
    chains = [target(chain) for chain in inbound_listeners(index, node)["virtualInbound"].filter_chains[2:]]
    assert chains == ["http inbound|8080||", "http inbound|8443||"]
    assert list(inbound_clusters(index, sidecar("a", WEB))) == ["inbound|8080||"]


def test_two_service_ports_on_one_port_of_the_app() -> None:
    found = sidecar("a", WEB, ServicePort(81, target=8080))
    assert list(inbound_clusters(EMPTY, found)) == ["inbound|8080||"]
    assert len(inbound_listeners(EMPTY, found)) == 2
