"""`ingress` of a Sidecar: where what a workload is asked on a port goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from control_plane.translate import Resources, build
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.node import Node
from mesh.xds import CLUSTER, LISTENER
from sidecar.config.clusters import compile_cluster
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import service, sidecar, transparent, world

PORT = "port: {number: 9080, name: http, protocol: HTTP}"


def scope(spec: str, more: str = "") -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default}\n"
    return f"{head}spec: {{ingress: [{spec}]{more}}}\n"


def made(text: str, node: Node) -> Resources:
    return build(world(service("reviews"), yaml=text), node)


def app_of(built: Resources, cluster: str = "inbound|9080||") -> tuple[str, int]:
    (locality,) = built[CLUSTER][cluster].load_assignment.endpoints
    socket = locality.lb_endpoints[0].endpoint.address.socket_address
    return socket.address, socket.port_value


NODES = (sidecar("reviews"), transparent("reviews"))


@pytest.mark.parametrize("node", NODES, ids=["explicit", "transparent"])
@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("127.0.0.2:8080", ("127.0.0.2", 8080)),
        ("0.0.0.0:8080", ("127.0.0.1", 8080)),
        ("'[::1]:8080'", ("::1", 8080)),
    ],
)
def test_where_it_goes(node: Node, endpoint: str, expected: tuple[str, int]) -> None:
    assert app_of(made(scope(f"{{{PORT}, defaultEndpoint: {endpoint}}}"), node)) == expected


@pytest.mark.parametrize("node", NODES, ids=["explicit", "transparent"])
@pytest.mark.parametrize("path", ["/run/app.sock", "@app"])
def test_an_app_may_listen_on_a_unix_domain_socket(node: Node, path: str, tmp_path: Path) -> None:
    built = made(scope(f"{{{PORT}, defaultEndpoint: 'unix://{path}'}}"), node)
    cluster = built[CLUSTER]["inbound|9080||"]
    assert cluster.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.pipe.path == path
    (endpoint,) = compile_cluster(cluster).assignment.localities[0].endpoints
    assert (endpoint.address.text, endpoint.address.is_pipe) == (path, True)
    assert_envoy_accepts(built, tmp_path)


def test_without_an_endpoint_it_goes_where_it_went() -> None:
    assert app_of(made(scope(f"{{{PORT}}}"), sidecar("reviews"))) == ("127.0.0.1", 9080)
    elsewhere = made(
        scope("{port: {number: 1, name: a, protocol: HTTP}, defaultEndpoint: 127.0.0.1:2}"), sidecar("reviews")
    )
    assert app_of(elsewhere) == ("127.0.0.1", 9080)


def filters(built: Resources) -> list[str]:
    chains: Any = built[LISTENER]["virtualInbound"].filter_chains
    return [chain.filters[0].name for chain in chains if chain.name.startswith("inbound|9080")]


@pytest.mark.parametrize("node", NODES, ids=["explicit", "transparent"])
def test_what_is_spoken(node: Node) -> None:
    assert filters(made(scope(f"{{{PORT}}}"), node)) == ["envoy.filters.network.http_connection_manager"]
    tcp = scope("{port: {number: 9080, name: tcp, protocol: TCP}}")
    assert filters(made(tcp, node)) == ["envoy.filters.network.tcp_proxy"]


def place_of(built: Resources, name: str) -> tuple[str, int]:
    socket = built[LISTENER][name].address.socket_address
    return socket.address, socket.port_value


def test_a_port_that_no_service_has() -> None:
    text = scope("{port: {number: 7000, name: http, protocol: HTTP}, defaultEndpoint: 127.0.0.1:7001}")
    captured, direct = made(text, transparent("reviews")), made(text, sidecar("reviews"))
    for built in (captured, direct):
        assert app_of(built, "inbound|7000||") == ("127.0.0.1", 7001)
    chains: Any = captured[LISTENER]["virtualInbound"].filter_chains
    assert "inbound|7000||" in [chain.name for chain in chains]
    assert place_of(direct, "127.0.1.1_7000") == ("127.0.1.1", 7000)


@pytest.mark.parametrize(
    ("node", "fields", "listener"),
    [
        (sidecar("reviews"), "bind: 127.0.0.7", "127.0.0.7_9080"),
        (sidecar("reviews"), "captureMode: NONE", "127.0.1.1_9080"),
        (transparent("reviews"), "captureMode: NONE", "0.0.0.0_9080"),
        (transparent("reviews"), "captureMode: NONE, bind: 10.0.0.1", "10.0.0.1_9080"),
    ],
)
def test_a_listener_of_its_own(node: Node, fields: str, listener: str) -> None:
    built = made(scope(f"{{{PORT}, {fields}, defaultEndpoint: 127.0.0.1:8080}}"), node)
    assert place_of(built, listener) == (listener.partition("_")[0], 9080)
    assert app_of(built) == ("127.0.0.1", 8080)
    captured: Any = built[LISTENER]["virtualInbound"].filter_chains
    assert ("inbound|9080||" in [chain.name for chain in captured]) == (node.interception == "NONE")


@pytest.mark.parametrize("node", NODES, ids=["explicit", "transparent"])
def test_nobody_listens_where_the_app_does(node: Node) -> None:
    fields = "captureMode: NONE, bind: 127.0.0.1"
    assert "127.0.0.1_9080" not in made(scope(f"{{{PORT}, {fields}}}"), node)[LISTENER]


def test_its_connection_pool_counts_before_the_one_of_all() -> None:
    pools = f"{{{PORT}, connectionPool: {{tcp: {{maxConnections: 3}}}}}}"
    all_of_them = ", inboundConnectionPool: {tcp: {maxConnections: 7}}"
    built = made(scope(pools, all_of_them), sidecar("reviews"))
    assert built[CLUSTER]["inbound|9080||"].circuit_breakers.thresholds[0].max_connections.value == 3


@pytest.mark.parametrize("node", NODES, ids=["explicit", "transparent"])
def test_envoy_takes_it(node: Node, tmp_path: Path) -> None:
    own = "{port: {number: 7000, protocol: ''}, captureMode: NONE, defaultEndpoint: 127.0.0.1:7001}"
    assert_envoy_accepts(made(scope(f"{{{PORT}, defaultEndpoint: 127.0.0.1:8080}}, {own}"), node), tmp_path)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{}", "spec.ingress\\[0\\].port: is required"),
        (f"{{{PORT}, defaultEndpoint: 8080}}", "defaultEndpoint: must be a string"),
        (f"{{{PORT}, defaultEndpoint: 'web:80'}}", "must be 127.0.0.1:PORT"),
        (f"{{{PORT}, defaultEndpoint: 'unix://x'}}", "must be unix:///PATH or unix://@NAME"),
        (f"{{{PORT}, defaultEndpoint: 'unix://@'}}", "must be unix:///PATH or unix://@NAME"),
        (f"{{{PORT}, defaultEndpoint: 'unix:///{'x' * 107}'}}", "of 107 bytes at the most"),
        (f"{{{PORT}, bind: 'unix:///x'}}", "Unix domain sockets are known to Istio, not implemented yet"),
        (f"{{{PORT}, bind: here}}", "ingress\\[0\\].bind: must be an IP address"),
        ("{port: {number: 15006, protocol: HTTP}}", "15006 is a port of the proxy's own"),
        (f"{{{PORT}, tls: {{}}}}", "tls: known to Istio"),
        (f"{{{PORT}}}, {{{PORT}}}", "there is an ingress of port 9080 already"),
    ],
)
def test_what_is_wrong_is_said(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(scope(spec))
