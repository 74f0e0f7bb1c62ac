"""ServiceEntries, from the documents to what one client gets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig as SniFilterConfig,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf.json_format import MessageToDict

from control_plane.registry.services import discover
from control_plane.translate import Resources, build
from control_plane.world import MeshConfig, World
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.istio.resource import Resource
from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from sidecar.config.clusters import compile_cluster
from sidecar.config.listeners import compile_listener
from sidecar.config.model import Discovery
from sidecar.config.model import TcpProxy as OurTcpProxy
from tests.simulation.evaluator import Call, evaluate
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import gateway, sidecar, transparent

HEAD = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {}}}\nspec: {}\n"


def entry(spec: str, name: str = "one") -> str:
    return HEAD.format(name, spec)


def declared(*documents: str, mesh: MeshConfig = MeshConfig()) -> World:  # noqa: B008 - frozen
    by_kind: dict[str, tuple[Resource, ...]] = {}
    for resource in load("---\n".join(documents)):
        by_kind[resource.key.kind] = (*by_kind.get(resource.key.kind, ()), resource)
    services, instances = discover(by_kind, [])
    return World(1, by_kind, services, instances, mesh)


def made(*documents: str, node: Node | None = None, mesh: MeshConfig = MeshConfig()) -> Resources:  # noqa: B008
    return build(declared(*documents, mesh=mesh), node or sidecar())


def addresses(assignment: Any) -> list[tuple[str, int]]:
    found = [e.endpoint.address.socket_address for g in assignment.endpoints for e in g.lb_endpoints]
    return [(address.address, address.port_value) for address in found]


HTTP = "hosts: [api.example.com], ports: [{number: 80, name: http, protocol: HTTP}]"
TLS = "hosts: [api.example.com], ports: [{number: 443, name: tls, protocol: TLS}]"


@pytest.mark.fault(20)
def test_two_entries_of_a_host_are_one_service() -> None:
    one = entry(f"{{{HTTP}, resolution: STATIC, addresses: [10.1.0.1], endpoints: [{{address: 10.0.0.1}}]}}")
    two = entry(f"{{{TLS}, resolution: STATIC, addresses: [10.1.0.2], endpoints: [{{address: 10.0.0.2}}]}}", "two")
    world = declared(one, two)
    service = world.services["api.example.com"]
    assert [port.number for port in service.ports] == [80, 443]
    assert service.addresses == ("10.1.0.1", "10.1.0.2")
    built = build(world, sidecar())
    assert addresses(built[ENDPOINT]["outbound|80||api.example.com"]) == [("10.0.0.1", 80)]
    assert addresses(built[ENDPOINT]["outbound|443||api.example.com"]) == [("10.0.0.2", 443)]


@pytest.mark.fault(20)
def test_two_entries_of_a_looked_up_host_have_each_their_ports() -> None:
    other = (
        "{hosts: [api.example.com], ports: [{number: 81, name: x, protocol: HTTP, targetPort: 8081}], resolution: DNS}"
    )
    built = made(entry(f"{{{HTTP}, resolution: DNS}}"), entry(other, "two"))
    for port, target in ((80, 80), (81, 8081)):
        cluster = built[CLUSTER][f"outbound|{port}||api.example.com"]
        assert addresses(cluster.load_assignment) == [("api.example.com", target)]


@pytest.mark.fault(20)
@pytest.mark.parametrize("other", ["name: two, namespace: other", "two"], ids=["namespace", "resolution"])
def test_entries_that_do_not_fit_are_not_merged(other: str) -> None:
    resolution = "STATIC, endpoints: [{address: 10.0.0.1}]"
    second = resolution if "namespace" in other else "DNS"
    name = other.removeprefix("name: ")
    world = declared(entry(f"{{{HTTP}, resolution: {resolution}}}"), entry(f"{{{TLS}, resolution: {second}}}", name))
    assert [port.number for port in world.services["api.example.com"].ports] == [80]


@pytest.mark.fault(21)
def test_a_host_without_service_is_asked_for_where_its_rule_has_one() -> None:
    rule = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: rules}
spec:
  hosts: [api.example.com, other.example.com, alone.example.com]
  http: [{route: [{destination: {host: api.example.com}}]}]
"""
    ports = "[{number: 9080, name: http, protocol: HTTP}, {number: 5432, name: db, protocol: TCP}]"
    entries = entry(f"{{hosts: [api.example.com], ports: {ports}, resolution: DNS}}")
    config = made(entries, rule)[ROUTE]["http_proxy"]
    found = evaluate(config, Call("http://other.example.com:9080/"))
    assert found is not None and found.cluster == "outbound|9080||api.example.com"
    for url in ("http://other.example.com:80/", "http://other.example.com:5432/"):
        refused = evaluate(config, Call(url))
        assert refused is not None and refused.host == "allow_any", url
    only = evaluate(made(rule.replace("api.example.com, ", ""))[ROUTE]["http_proxy"], Call("http://alone.example.com/"))
    assert only is not None and only.cluster == "outbound|80||api.example.com"


@pytest.mark.fault(21)
def test_a_wildcard_without_names_to_look_up_says_so_to_an_explicit_proxys_client() -> None:
    spec = "{hosts: ['*.wikipedia.org'], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}"
    config = made(entry(spec))[ROUTE]["http_proxy"]
    for url in ("http://en.wikipedia.org/", "http://en.wikipedia.org:80/wiki"):
        found = evaluate(config, Call(url))
        assert found is not None and found.route.direct_response.status == 502
        assert "resolution NONE" in found.route.direct_response.body.inline_string


ANY_SHOP = "hosts: ['*.shop.example'], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DYNAMIC_DNS"
ANY_SHOP_CLUSTER = "outbound|80||*.shop.example"


@pytest.mark.parametrize(
    "node", [sidecar(), transparent("reviews"), gateway()], ids=["explicit", "transparent", "gateway"]
)
def test_hosts_that_requests_name_are_looked_up(node: Node, tmp_path: Path) -> None:
    edge = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
"""
    built = made(entry(f"{{{ANY_SHOP}}}"), edge, node=node)
    cluster = built[CLUSTER][ANY_SHOP_CLUSTER]
    assert cluster.lb_policy == Cluster.CLUSTER_PROVIDED
    assert compile_cluster(cluster).discovery is Discovery.DYNAMIC
    for listener in built[LISTENER].values():
        compile_listener(listener)
        manager = HttpConnectionManager()
        if listener.filter_chains and listener.filter_chains[0].filters[0].typed_config.Unpack(manager):
            looks_up = any(each.name == "envoy.filters.http.dynamic_forward_proxy" for each in manager.http_filters)
            assert looks_up == (listener.name != "virtualInbound")
    assert_envoy_accepts(built, tmp_path)


def test_a_cache_of_names_with_other_settings_is_another_one() -> None:
    """An Envoy keeps a cache by its name while it runs, and refuses others of that name."""
    tls = "{number: 443, name: tls, protocol: TLS}"
    service = ANY_SHOP.replace("protocol: HTTP}", f"protocol: HTTP}}, {tls}")
    caches: list[dict[str, str]] = []
    for rate in (60.0, 9.0, 9.5):
        built = made(entry(f"{{{service}}}"), node=transparent(), mesh=MeshConfig(dns_refresh_rate=rate))
        resources = [MessageToDict(each) for url in (CLUSTER, LISTENER) for each in built[url].values()]
        found = [json.dumps(cache, sort_keys=True) for each in resources for cache in named(each, "dnsCacheConfig")]
        caches.append({json.loads(cache)["name"]: cache for cache in found})
        assert len(found) > 2 and set(found) == set(caches[-1].values())  # in all places the same
    assert len({name for each in caches for name in each}) == len(caches)


def named(value: Any, name: str) -> Iterator[Any]:
    """The values of this name, at any depth."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and name in value:
        yield value[name]
    for each in inner:
        yield from named(each, name)


def test_a_host_of_a_wildcard_goes_to_its_cluster() -> None:
    built = made(entry(f"{{{ANY_SHOP}}}"))
    outcome = evaluate(built[ROUTE]["http_proxy"], Call("http://one.shop.example/"))
    assert outcome is not None and outcome.clusters == {ANY_SHOP_CLUSTER: 1.0}


def test_a_host_that_a_hello_names_is_looked_up(tmp_path: Path) -> None:
    tls = ANY_SHOP.replace(
        "number: 80, name: http, protocol: HTTP", "number: 443, name: tls, protocol: TLS, targetPort: 8443"
    )
    built = made(entry(f"{{{tls}}}"), node=transparent())
    cluster = "outbound|443||*.shop.example"
    (chain,) = built[LISTENER]["0.0.0.0_443"].filter_chains
    assert list(chain.filter_chain_match.server_names) == ["*.shop.example"]
    look_up, proxy = SniFilterConfig(), TcpProxy()
    assert chain.filters[0].typed_config.Unpack(look_up) and chain.filters[-1].typed_config.Unpack(proxy)
    config = ClusterConfig()
    assert built[CLUSTER][cluster].cluster_type.typed_config.Unpack(config)
    assert (look_up.port_value, look_up.dns_cache_config) == (8443, config.dns_cache_config)
    assert proxy.cluster == cluster
    assert_envoy_accepts(built, tmp_path)
    network = compile_listener(built[LISTENER]["0.0.0.0_443"]).chains[0].network
    assert isinstance(network, OurTcpProxy) and network.sni_port == 8443
    connect = evaluate(made(entry(f"{{{tls}}}"))[ROUTE]["http_proxy"], Call("http://one.shop.example:443/", "CONNECT"))
    assert connect is not None and connect.clusters == {cluster: 1.0}


def test_nobody_else_has_the_filter() -> None:
    manager = HttpConnectionManager()
    listener = made(entry(f"{{{HTTP}, resolution: DNS}}"))[LISTENER]["virtualOutbound"]
    assert listener.filter_chains[0].filters[0].typed_config.Unpack(manager)
    assert not any("dynamic" in each.name for each in manager.http_filters)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            ANY_SHOP.replace("protocol: HTTP", "protocol: TCP"),
            "needs a protocol that names the host: HTTP",
        ),
        (f"{ANY_SHOP}, endpoints: [{{address: 10.0.0.1}}]", "it is the host that a request names that is looked up"),
        (
            f"{ANY_SHOP}, workloadSelector: {{labels: {{a: b}}}}",
            "it is the host that a request names that is looked up",
        ),
    ],
)
def test_what_cannot_be_looked_up(spec: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(entry(f"{{{spec}}}"))
    assert problem in str(caught.value)
