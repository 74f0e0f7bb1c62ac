"""`egress` of a Sidecar: listeners with ports of their own, each with the hosts that it names, and where the rest goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from control_plane.translate import Resources, build
from control_plane.world import Service
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.node import Node, ServicePort
from mesh.xds import CLUSTER, LISTENER, ROUTE
from sidecar.explain.given import Call as Explained
from sidecar.explain.given import Given
from sidecar.explain.way import explain
from tests.simulation.evaluator import Call, evaluate
from tests.simulation.test_scope import hosts, scope
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import service, sidecar, transparent, world

HTTP, TCP = "{number: 80, name: http, protocol: HTTP}", "{number: 5432, protocol: TCP}"
OWN = f"{{port: {HTTP}, hosts: ['./a.default.svc.cluster.local']}}"
REST = "{hosts: ['*/*']}"
SERVICES = (
    service("a", 80, 81),
    service("b", 80, 81),
    service("db", ServicePort(5432, "db", "TCP")),
    service("vip", ServicePort(5432, "db", "TCP"), addresses=("10.9.0.1",)),
)


def made(node: Node, *egress: str, more: str = "", services: tuple[Service, ...] = SERVICES) -> Resources:
    return build(world(*services, yaml=scope(f"egress: [{', '.join(egress)}]{more}")), node)


def goes(built: Resources, routes: str, authority: str) -> str:
    """The cluster of a call, or who answers it instead."""
    outcome = evaluate(built[ROUTE][routes], Call(f"http://{authority}/"))
    assert outcome is not None
    return outcome.cluster if outcome.clusters else outcome.host


def chains(listener: Any) -> list[tuple[list[str], str]]:
    """What each filter chain is for, and the routes or the cluster that it leads to."""
    found = []
    for chain in listener.filter_chains:
        manager, proxy = HttpConnectionManager(), TcpProxy()
        chain.filters[0].typed_config.Unpack(manager)
        chain.filters[0].typed_config.Unpack(proxy)
        match = chain.filter_chain_match
        asked = [*match.server_names, *match.application_protocols, *(r.address_prefix for r in match.prefix_ranges)]
        found.append((asked, manager.rds.route_config_name or proxy.cluster))
    return found


def opened(built: Resources) -> dict[str, bool]:
    """The outbound listeners but the one door, and whether they are opened."""
    all_of_them: dict[str, Any] = dict(built[LISTENER])
    return {
        name: not each.HasField("bind_to_port") or each.bind_to_port.value
        for name, each in all_of_them.items()
        if not name.startswith("virtual")
    }


def test_a_port_has_the_hosts_that_are_named_there() -> None:
    built = made(transparent(), OWN, REST)
    assert goes(built, "80", "a") == "outbound|80||a.default.svc.cluster.local"
    assert goes(built, "80", "b") == "PassthroughCluster"
    assert goes(built, "81", "b") == "outbound|81||b.default.svc.cluster.local"
    assert "outbound|80||b.default.svc.cluster.local" in built[CLUSTER]  # the explicit door still has it
    assert opened(built) == {"0.0.0.0_80": False, "0.0.0.0_81": False, "10.9.0.1_5432": False}


def test_without_one_for_the_rest_there_is_no_rest() -> None:
    built = made(transparent(), OWN)
    assert set(built[ROUTE]) == {"80", "http_proxy"}
    assert goes(built, "http_proxy", "a") == "allow_any"
    assert {name for name in built[CLUSTER] if name.startswith("outbound|")} == {
        f"outbound|{port}||a.default.svc.cluster.local" for port in (80, 81)
    }


def test_without_interception_a_port_is_opened() -> None:
    built = made(sidecar(), OWN, REST)
    assert opened(built) == {"127.0.0.1_80": True}
    assert goes(built, "127.0.0.1_80", "a:80") == "outbound|80||a.default.svc.cluster.local"
    assert goes(built, "127.0.0.1_80", "b") == "block_all"
    assert goes(built, "http_proxy", "b") == "outbound|80||b.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("node", "fields", "listener", "routes"),
    [
        (sidecar(), "bind: 127.0.0.9", {"127.0.0.9_80": True}, "127.0.0.9_80"),
        (transparent(), "bind: 10.1.1.1", {"10.1.1.1_80": False}, "80"),
        (transparent(), "captureMode: IPTABLES", {"0.0.0.0_80": False}, "80"),
        (transparent(), "captureMode: NONE", {"127.0.0.1_80": True}, "127.0.0.1_80"),
        (transparent(), "captureMode: NONE, bind: '::1'", {"::1_80": True}, "::1_80"),
    ],
)
def test_where_it_listens(node: Node, fields: str, listener: dict[str, bool], routes: str) -> None:
    built = made(node, f"{{port: {HTTP}, {fields}, hosts: ['./a.default.svc.cluster.local']}}")
    assert opened(built) == listener
    (name,) = listener
    assert chains(built[LISTENER][name]) == [([], routes)]
    assert goes(built, routes, "a") == "outbound|80||a.default.svc.cluster.local"


def test_what_is_not_captured_leaves_captured_connections_alone() -> None:
    built = made(transparent(), f"{{port: {HTTP}, captureMode: NONE, hosts: ['./a.default.svc.cluster.local']}}", REST)
    assert goes(built, "80", "b") == "outbound|80||b.default.svc.cluster.local"
    assert goes(built, "127.0.0.1_80", "b") == "block_all"


def test_connections_go_to_the_first_service_or_by_its_address() -> None:
    everything = f"{{port: {TCP}, hosts: ['./*']}}"
    captured = made(transparent(), everything)
    assert chains(captured[LISTENER]["0.0.0.0_5432"]) == [([], "outbound|5432||db.default.svc.cluster.local")]
    assert chains(captured[LISTENER]["10.9.0.1_5432"]) == [([], "outbound|5432||vip.default.svc.cluster.local")]
    explicit = made(sidecar(), everything)[LISTENER]["127.0.0.1_5432"]
    assert chains(explicit) == [([], "outbound|5432||db.default.svc.cluster.local")]


def test_tls_is_told_apart_by_its_name() -> None:
    two = tuple(service(name, ServicePort(443, "tls", "TLS")) for name in ("x", "y"))
    built = made(sidecar(), "{port: {number: 443, protocol: TLS}, hosts: ['./*']}", services=two)
    names = [f"{name}.default.svc.cluster.local" for name in ("x", "y")]
    assert chains(built[LISTENER]["127.0.0.1_443"]) == [([name], f"outbound|443||{name}") for name in names]


def test_the_listener_says_what_is_spoken() -> None:
    as_tcp = made(sidecar(), "{port: {number: 80, protocol: TCP}, hosts: ['./a.default.svc.cluster.local']}")
    assert chains(as_tcp[LISTENER]["127.0.0.1_80"]) == [([], "outbound|80||a.default.svc.cluster.local")]
    anything = made(sidecar(), "{port: {number: 80, protocol: ''}, hosts: ['./a.default.svc.cluster.local']}")
    http, rest = chains(anything[LISTENER]["127.0.0.1_80"])
    assert (http[1], rest) == ("127.0.0.1_80", ([], "outbound|80||a.default.svc.cluster.local"))
    assert "h2c" in http[0]


def test_rules_of_its_hosts_may_send_elsewhere() -> None:
    rule = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\n"
        "spec: {hosts: [a], http: [{route: [{destination: {host: b}}]}]}\n"
    )
    text = scope(f"egress: [{OWN}]")
    built = build(world(*SERVICES, yaml=f"{text}---\n{rule}"), sidecar())
    assert goes(built, "127.0.0.1_80", "a") == "outbound|80||b.default.svc.cluster.local"
    assert goes(built, "127.0.0.1_80", "b") == "block_all"
    assert "outbound|80||b.default.svc.cluster.local" in built[CLUSTER]


def test_hosts_are_taken_out_again() -> None:
    assert hosts(sidecar(), scope("egress: [{hosts: ['*/*', '~other/*']}]")) == {"a.default", "b.default"}
    assert hosts(sidecar(), scope("egress: [{hosts: ['*/*', '~./a.default.svc.cluster.local']}]")) == {
        "a.other", "b.default", "b.other"
    }  # fmt: skip
    assert hosts(sidecar(), scope("egress: [{hosts: ['*/*', '~/*.other.svc.cluster.local']}]")) == {
        "a.default", "b.default"
    }  # fmt: skip


@pytest.mark.parametrize("node", [sidecar(), transparent()], ids=["explicit", "transparent"])
def test_unknown_hosts_go_to_the_egress_proxy(node: Node) -> None:
    proxy = ", outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: b, port: {number: 81}}}"
    built = made(node, REST, more=proxy)
    assert goes(built, "http_proxy", "elsewhere.example.com") == "outbound|81||b.default.svc.cluster.local"
    if node.interception != "NONE":
        assert goes(built, "80", "elsewhere.example.com") == "outbound|81||b.default.svc.cluster.local"
        rest = TcpProxy()
        built[LISTENER]["virtualOutbound"].default_filter_chain.filters[0].typed_config.Unpack(rest)
        assert rest.cluster == "outbound|81||b.default.svc.cluster.local"


@pytest.mark.parametrize("node", [sidecar(), transparent()], ids=["explicit", "transparent"])
def test_it_is_explained(node: Node) -> None:
    built = made(
        node, f"{{port: {HTTP}, captureMode: NONE, bind: 127.0.0.9, hosts: ['./a.default.svc.cluster.local']}}"
    )
    calls = (Explained("GET", "http://127.0.0.9/", (("host", host),)) for host in ("a", "b"))
    found = [explain(Given(built), call) for call in calls]
    assert [step.says for step in found[0].station("listener")] == [
        "127.0.0.9_80, which the client calls by its address"
    ]
    assert dict(found[0].clusters) == {"outbound|80||a.default.svc.cluster.local": 1}
    assert "502" in found[1].outcome


@pytest.mark.parametrize("node", [sidecar(), transparent()], ids=["explicit", "transparent"])
def test_envoy_takes_it(node: Node, tmp_path: Path) -> None:
    proxy = ", outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: b, port: {number: 81}}}"
    tls = "{port: {number: 443, protocol: TLS}, captureMode: NONE, bind: 127.0.0.2, hosts: ['./*']}"
    built = made(
        node, OWN.replace("80", "81"), f"{{port: {TCP}, hosts: ['./*']}}", tls, REST, more=proxy,
        services=(*SERVICES, service("tls", ServicePort(443, "tls", "TLS"))),
    )  # fmt: skip
    assert_envoy_accepts(built, tmp_path)


@pytest.mark.parametrize(
    ("egress", "message"),
    [
        ("{hosts: ['*/*'], bind: 127.0.0.1}", "bind: is the address of a listener with a port"),
        ("{hosts: ['*/*'], captureMode: NONE}", "captureMode: NONE is for a listener with a port"),
        ("{hosts: ['*/*'], captureMode: TPROXY}", "must be one of DEFAULT, IPTABLES, NONE"),
        (f"{{port: {HTTP}, bind: 'unix:///x', hosts: ['*/*']}}", "Unix domain sockets are known to Istio"),
        (f"{{port: {HTTP}, bind: web, hosts: ['*/*']}}", "must be an IP address"),
        ("{port: {number: 15001, protocol: HTTP}, hosts: ['*/*']}", "15001 is a port of the proxy's own"),
        (f"{OWN}, {OWN}", "egress\\[1\\].port.number: there is an egress of port 80 already"),
        (f"{REST}, {OWN}", "egress\\[0\\]: one without a port is for all other ports: it comes last"),
        (f"{REST}, {REST}", "it comes last, and once"),
        ("{hosts: ['~shop']}", "must be NAMESPACE/HOST"),
        ("{hosts: ['~s.p/*']}", 'the namespace must be a name, ".", "\\*" or "~"'),
    ],
)
def test_what_is_wrong_is_said(egress: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(scope(f"egress: [{egress}]"))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("{mode: REGISTRY_ONLY, egressProxy: {host: b, port: {number: 1}}}", "mode: ALLOW_ANY lets pass"),
        ("{mode: ALLOW_ANY, egressProxy: {host: b}}", "egressProxy.port: is required"),
    ],
)
def test_an_egress_proxy_wants_a_port_and_traffic(policy: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(scope(f"outboundTrafficPolicy: {policy}"))
