"""Connections that nobody looks into: by address, by port, by the name in a TLS hello."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from control_plane.translate import build
from control_plane.world import MeshConfig, OutboundPolicy
from mesh.node import ROUTER, Node
from mesh.xds import LISTENER, ROUTE
from tests.simulation.evaluator import Call, evaluate
from tests.simulation.test_service_entries import declared, entry, made
from tests.simulation.worlds import sidecar, transparent

STRICT = MeshConfig(outbound_policy=OutboundPolicy.REGISTRY_ONLY)
GATEWAY = Node(ROUTER, "127.0.1.3", "edge", labels={"istio": "ingressgateway"})


def rule(spec: str, name: str = "rules") -> str:
    return f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def edge(protocol: str, hosts: str = "['*']", more: str = "") -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\n"
    port = f"{{number: 9000, name: x, protocol: {protocol}}}"
    return f"{head}spec: {{selector: {{istio: ingressgateway}}, servers: [{{port: {port}, hosts: {hosts}{more}}}]}}\n"


def chains(listener: Any) -> list[tuple[list[str], list[str], list[str]]]:
    """(names, networks, clusters) of each chain, the default one last."""
    found = []
    default = [listener.default_filter_chain] if listener.HasField("default_filter_chain") else []
    for chain in (*listener.filter_chains, *default):
        proxy = TcpProxy()
        weighted = ["http"]
        if chain.filters[0].typed_config.Unpack(proxy):
            weighted = (
                [proxy.cluster] if proxy.cluster else [f"{c.name} {c.weight}" for c in proxy.weighted_clusters.clusters]
            )
        match = chain.filter_chain_match
        networks = [f"{each.address_prefix}/{each.prefix_len.value}" for each in match.prefix_ranges]
        found.append((list(match.server_names), networks, weighted))
    return found


def inspectors(listener: Any) -> list[str]:
    return [each.name.rpartition(".")[2] for each in listener.listener_filters]


def external(name: str, host: str, port: str, more: str = "resolution: DNS") -> str:
    return entry(f"{{hosts: ['{host}'], ports: [{port}], {more}}}", name)


TLS = "{number: 443, name: tls, protocol: TLS}"
HTTPS = "{number: 443, name: https, protocol: HTTPS}"
TCP = "{number: 27017, name: db, protocol: TCP}"


@pytest.mark.fault(18)
def test_tls_without_addresses_is_known_by_its_name() -> None:
    built = made(
        external("a", "a.example.com", TLS),
        external("b", "*.b.example.com", HTTPS, "resolution: NONE"),
        node=transparent(),
        mesh=STRICT,
    )
    listener = built[LISTENER]["0.0.0.0_443"]
    assert chains(listener) == [
        (["*.b.example.com"], [], ["outbound|443||*.b.example.com"]),
        (["a.example.com"], [], ["outbound|443||a.example.com"]),
        ([], [], ["BlackHoleCluster"]),
    ]
    assert inspectors(listener) == ["tls_inspector"]


@pytest.mark.fault(18)
def test_bytes_without_addresses_are_known_by_their_port() -> None:
    built = made(
        external("a", "a.example.com", TCP), external("b", "b.example.com", TCP), node=transparent(), mesh=STRICT
    )
    listener = built[LISTENER]["0.0.0.0_27017"]
    assert chains(listener) == [([], [], ["outbound|27017||a.example.com"])]
    assert inspectors(listener) == []


@pytest.mark.fault(18)
def test_bytes_beside_http_on_one_port() -> None:
    http = "{number: 80, name: http, protocol: HTTP}"
    bytes_ = "{number: 80, name: tcp, protocol: TCP}"
    built = made(external("a", "a.example.com", http), external("b", "b.example.com", bytes_), node=transparent())
    listener = built[LISTENER]["0.0.0.0_80"]
    assert chains(listener) == [([], [], ["http"]), ([], [], ["outbound|80||b.example.com"])]
    assert list(listener.filter_chains[0].filter_chain_match.application_protocols)[:2] == ["http/1.0", "http/1.1"]
    assert inspectors(listener) == ["http_inspector"]


def test_tcp_rules_go_by_weight_subnet_and_source() -> None:
    db = external(
        "db", "db.example.com", TCP, "resolution: STATIC, addresses: [10.9.0.1], endpoints: [{address: 10.0.0.1}]"
    )
    own = "{match: [{destinationSubnets: [10.9.0.1]}], route: [{destination: {host: db.example.com, subset: near}}]}"
    other = "{match: [{sourceLabels: {app: nobody}}], route: [{destination: {host: nobody.example.com}}]}"
    shares = (
        "{route: [{destination: {host: db.example.com, subset: v1}, weight: 9}, "
        "{destination: {host: db.example.com, subset: v2}, weight: 1}]}"
    )
    built = made(db, rule(f"hosts: [db.example.com], tcp: [{other}, {own}, {shares}, {own}]"), node=transparent())
    cluster = "outbound|27017|{}|db.example.com".format
    assert chains(built[LISTENER]["10.9.0.1_27017"]) == [
        ([], ["10.9.0.1/32"], [cluster("near")]),
        ([], [], [f"{cluster('v1')} 9", f"{cluster('v2')} 1"]),
    ]
    explicit = made(db, rule(f"hosts: [db.example.com], tcp: [{shares}]"), node=sidecar())[ROUTE]["http_proxy"]
    found = evaluate(explicit, Call("db.example.com:27017", "CONNECT"))
    assert found is not None and found.clusters == {cluster("v1"): 0.9, cluster("v2"): 0.1}


def test_tls_rules_go_by_name() -> None:
    to = "route: [{{destination: {{host: a.example.com, subset: {}}}}}]".format
    tls = f"{{match: [{{sniHosts: [a.example.com], port: 443}}], {to('v2')}}}, "
    tls += f"{{match: [{{sniHosts: [b.example.com]}}], {to('v3')}}}"
    rules = rule(f"hosts: [a.example.com, '*.example.org', b.example.com], tls: [{tls}]")
    built = made(external("a", "a.example.com", TLS), rules, node=transparent(), mesh=STRICT)
    assert chains(built[LISTENER]["0.0.0.0_443"]) == [
        (["a.example.com"], [], ["outbound|443|v2|a.example.com"]),
        (["b.example.com"], [], ["outbound|443|v3|a.example.com"]),
        ([], [], ["BlackHoleCluster"]),
    ]
    connect = evaluate(
        build(declared(external("a", "a.example.com", TLS), rules), sidecar())[ROUTE]["http_proxy"],
        Call("a.example.com:443", "CONNECT"),
    )
    assert connect is not None and connect.cluster == "outbound|443|v2|a.example.com"


def test_what_a_destination_rule_says_of_connections() -> None:
    policy = (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\n"
        "spec: {host: a.example.com, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}, "
        "connectionPool: {tcp: {idleTimeout: 7s, maxConnectionDuration: 60s}}}}\n"
    )
    listener = made(external("a", "a.example.com", TCP), policy, node=transparent())[LISTENER]["0.0.0.0_27017"]
    proxy = TcpProxy()
    chain = listener.default_filter_chain
    assert chain.filters[0].typed_config.Unpack(proxy)
    assert (proxy.idle_timeout.seconds, proxy.max_downstream_connection_duration.seconds) == (7, 60)
    assert proxy.hash_policy[0].HasField("source_ip")


# ── gateways ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_gateway_passes_tls_on_by_name() -> None:
    tls = "tls: [{match: [{sniHosts: [a.example.com]}], route: [{destination: {host: a.example.com, port: {number: 443}}}]}]"
    rules = rule(f"hosts: [a.example.com], gateways: [edge], {tls}")
    for protocol in ("TLS", "HTTPS"):
        server = edge(protocol, "['*.example.com']", ", tls: {mode: PASSTHROUGH}")
        listener = made(external("a", "a.example.com", TLS), rules, server, node=GATEWAY)[LISTENER]["0.0.0.0_9000"]
        assert chains(listener) == [(["a.example.com"], [], ["outbound|443||a.example.com"])]
        assert inspectors(listener) == ["tls_inspector"]
    closed = edge("TLS", "['*.other.com']", ", tls: {mode: PASSTHROUGH}")
    assert made(external("a", "a.example.com", TLS), rules, closed, node=GATEWAY)[LISTENER] == {}


@pytest.mark.parametrize("protocol", ["TCP", "MONGO", "MYSQL", "REDIS"])
def test_a_gateway_passes_bytes_on(protocol: str) -> None:
    tcp = "tcp: [{match: [{port: 9000}], route: [{destination: {host: a.example.com, port: {number: 27017}}}]}]"
    rules = rule(f"hosts: ['*'], gateways: [edge], {tcp}")
    listener = made(external("a", "a.example.com", TCP), rules, edge(protocol), node=GATEWAY)[LISTENER]["0.0.0.0_9000"]
    assert chains(listener) == [([], [], ["outbound|27017||a.example.com"])]
    assert listener.address.socket_address.address == "127.0.1.3"


def test_a_gateway_listens_where_it_is_bound() -> None:
    rules = rule("hosts: ['*'], gateways: [edge], http: [{directResponse: {status: 200}}]")
    built = made(rules, edge("HTTP", more=", bind: 127.0.9.9, name: mine"), node=GATEWAY)
    listener = built[LISTENER]["127.0.9.9_9000"]
    assert listener.address.socket_address.address == "127.0.9.9"
    assert list(built[ROUTE]) == ["http.9000.127.0.9.9"]


def test_a_gateway_sends_plain_http_to_https() -> None:
    rules = rule("hosts: [a.example.com], gateways: [edge], http: [{directResponse: {status: 200}}]")
    for documents in ((rules,), ()):
        built = made(*documents, edge("HTTP", "[a.example.com]", ", tls: {httpsRedirect: true}"), node=GATEWAY)
        (host,) = built[ROUTE]["http.9000"].virtual_hosts
        assert (list(host.domains), host.require_tls) == (["a.example.com"], 2)
