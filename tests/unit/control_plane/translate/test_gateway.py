from collections.abc import Mapping

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate.gateway import gateway_listeners, gateway_routes, servers_of
from control_plane.translate.index import Index
from control_plane.translate.viewer import viewer_of
from mesh.node import ROUTER, Node, ServicePort
from tests.simulation.evaluator import Call, evaluate
from tests.simulation.scenarios import virtual_service
from tests.simulation.worlds import gateway, instance, service, world

RULE = "{route: [{destination: {host: reviews}}]}"


def edge(hosts: str = '["*"]', port: int = 8080, name: str = "edge", selector: str = "{istio: ingressgateway}") -> str:
    return f"""
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  selector: {selector}
  servers: [{{port: {{number: {port}, name: http, protocol: HTTP}}, hosts: {hosts}}}]
"""


def rule(hosts: str = "[reviews.example.com]", http: str = RULE, name: str = "rules", gateways: str = "[edge]") -> str:
    return virtual_service(http, hosts, f"  gateways: {gateways}\n", name)


def domains(*documents: str, port: int = 8080, node: Node | None = None) -> Mapping[str, list[str]]:
    """Virtual host → domains of what a gateway serves on a port."""
    node = node or gateway()
    index = Index(world(service("reviews"), yaml="---\n".join(documents)))
    config = gateway_routes(index, viewer_of(index, node), servers_of(index, node))[f"http.{port}"]
    return {host.name: list(host.domains) for host in config.virtual_hosts}


def test_labels_pick_the_gateways() -> None:
    index = Index(
        world(
            yaml="---\n".join(
                (edge(), edge(port=81, name="all", selector="{}"), edge(port=82, name="none", selector="{a: b}"))
            )
        )
    )
    assert [place.port for place in servers_of(index, gateway())] == [81, 8080]
    assert [place.port for place in servers_of(index, Node(ROUTER, "10.0.0.1", "g"))] == [81]


def test_a_proxys_own_ports_are_not_opened_twice() -> None:
    assert servers_of(Index(world(yaml=edge(port=15021))), gateway()) == {}


def test_one_listener_a_port() -> None:
    index = Index(world(yaml=edge() + "---" + edge(name="more")))
    for node, bound in (
        (gateway(), "127.0.1.100"),
        (Node(ROUTER, "10.0.0.1", "g", labels=gateway().labels), "0.0.0.0"),
    ):
        ((name, listener),) = gateway_listeners(index, viewer_of(index, node), node, servers_of(index, node)).items()
        assert (name, listener.address.socket_address.address) == ("0.0.0.0_8080", bound)
        manager = HttpConnectionManager()
        listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
        assert manager.rds.route_config_name == "http.8080"
        assert manager.use_remote_address.value and manager.server_name == "istio-envoy"


def test_browsers_grpc_is_taken_where_a_server_says_so() -> None:
    for protocol, filters in (("GRPC-WEB", ["grpc_web", "cors"]), ("GRPC", ["cors", "fault"])):
        index = Index(world(yaml=edge().replace("protocol: HTTP", f"protocol: {protocol}")))
        node = gateway()
        (listener,) = gateway_listeners(index, viewer_of(index, node), node, servers_of(index, node)).values()
        manager = HttpConnectionManager()
        listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
        assert [each.name.rpartition(".")[2] for each in manager.http_filters][:2] == filters


def test_without_rules_there_is_nothing() -> None:
    assert domains(edge()) == {"blackhole:8080": ["*"]}
    assert domains(edge(), rule(gateways="[other]")) == {"blackhole:8080": ["*"]}
    assert domains(edge('["a.com"]'), rule('["b.com"]')) == {"blackhole:8080": ["*"]}


def test_hosts_are_what_both_have() -> None:
    assert domains(edge('["*.example.com"]'), rule("[a.example.com, b.org]")) == {
        "a.example.com:8080": ["a.example.com"]
    }
    assert domains(edge("[a.example.com, b.example.com]"), rule("['*.example.com']")) == {
        "a.example.com:8080": ["a.example.com", "b.example.com"]
    }
    assert domains(edge(), rule('["*"]')) == {"*:8080": ["*"]}
    assert domains(edge(), rule("[reviews]")) == {
        "reviews.default.svc.cluster.local:8080": ["reviews.default.svc.cluster.local"]
    }


def test_a_servers_hosts_may_be_for_one_namespace() -> None:
    for prefix, expected in (("default/", True), ("./", True), ("*/", True), ("other/", False)):
        assert ("a.com:8080" in domains(edge(f'["{prefix}a.com"]'), rule("[a.com]"))) == expected


def test_rules_name_their_gateway_in_full_or_in_short() -> None:
    for name, expected in (("edge", True), ("default/edge", True), ("other/edge", False), ("mesh", False)):
        assert ("a.com:8080" in domains(edge(), rule("[a.com]", gateways=f"[{name}]"))) == expected


def test_several_rules_for_a_host_are_joined_with_their_catch_alls_last() -> None:
    first = rule("[a.com]", name="first")
    second = rule("[a.com]", "{match: [{uri: {prefix: /b}}], route: [{destination: {host: ratings}}]}", "second")
    index = Index(world(service("reviews"), yaml="---\n".join((edge(), first, second))))
    config = gateway_routes(index, viewer_of(index, gateway()), servers_of(index, gateway()))["http.8080"]
    for url, expected in (("http://a.com/b", "ratings"), ("http://a.com:8080/", "reviews")):
        outcome = evaluate(config, Call(url))
        assert outcome is not None and expected in outcome.cluster
    assert evaluate(config, Call("http://b.com/")) is None


def test_a_rule_that_two_servers_share_counts_once() -> None:
    index = Index(
        world(yaml="---\n".join((edge(), edge('["a.com"]', name="more"), rule("[a.com]", gateways="[edge, more]"))))
    )
    config = gateway_routes(index, viewer_of(index, gateway()), servers_of(index, gateway()))["http.8080"]
    assert [len(host.routes) for host in config.virtual_hosts] == [1]


def test_rules_of_which_none_is_for_this_port_are_none() -> None:
    only = rule("[a.com]", "{match: [{port: 81}], route: [{destination: {host: reviews}}]}")
    assert domains(edge(), only) == {"blackhole:8080": ["*"]}


@pytest.mark.fault(21)
def test_a_port_of_the_gateways_service_is_opened_where_its_target_port_is() -> None:
    node = gateway()
    on_80 = f"{{match: [{{port: 80}}], {RULE[1:]}"
    ingress = instance(node.address, ports={80: 8080, 443: 8443}, node_id=node.id)
    index = Index(
        world(
            service("istio-ingressgateway", 80, 443),
            service("reviews"),
            yaml="---\n".join((edge(port=80), edge(port=8080, name="direct"), rule(http=on_80))),
            instances={"istio-ingressgateway": [ingress]},
        )
    )
    servers = servers_of(index, node)
    assert {place.port: [served.number for served in found] for place, found in servers.items()} == {8080: [80, 8080]}
    assert list(gateway_listeners(index, viewer_of(index, node), node, servers)) == ["0.0.0.0_8080"]
    config = gateway_routes(index, viewer_of(index, node), servers)["http.8080"]
    assert [host.name for host in config.virtual_hosts] == ["reviews.example.com:8080"]  # port 80, to the rule
    own = Node(ROUTER, "10.0.0.1", "g", labels=node.labels, ports=(ServicePort(80, target=8081),))
    assert [place.port for place in servers_of(index, own)] == [8080, 8081]
