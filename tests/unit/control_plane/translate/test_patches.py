"""Which resources an EnvoyFilter's patch is for, and where it goes in them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate import Resources, build
from control_plane.translate.patches import patched
from mesh.istio.envoy_filter import ConfigPatch
from mesh.node import Node, ServicePort
from mesh.xds import CLUSTER, LISTENER, ROUTE
from tests.simulation.scenarios import destination_rule
from tests.simulation.worlds import gateway, service, sidecar, transparent, world

SUBSETS = destination_rule("{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
WORLD = world(service("reviews"), service("ratings", 9080, ServicePort(7000, "more")), yaml=SUBSETS)
OUT, IN = sidecar("reviews"), transparent("reviews")


def changed(patch: str, node: Node = OUT) -> Resources:
    built = build(WORLD, node)
    return patched(built, [ConfigPatch.model_validate(yaml.safe_load(patch))], node)


def different(patch: str, kind: str, node: Node = OUT) -> set[str]:
    """The resources of a kind that the patch changed, added or removed."""
    before, after = build(WORLD, node)[kind], changed(patch, node)[kind]
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
V1 = "outbound|9080|v1|reviews.default.svc.cluster.local"
RATINGS_HTTP = "outbound|9080||ratings.default.svc.cluster.local"
RATINGS = {f"outbound|{port}||ratings.default.svc.cluster.local" for port in (9080, 7000)}
SPECIAL = {"BlackHoleCluster", "PassthroughCluster"}


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("{}", {REVIEWS, V1, *RATINGS, *SPECIAL, "inbound|9080||"}),
        ("{context: SIDECAR_OUTBOUND}", {REVIEWS, V1, *RATINGS, *SPECIAL}),
        ("{context: SIDECAR_INBOUND}", {"inbound|9080||"}),
        ("{context: GATEWAY}", set()),
        ("{cluster: {name: BlackHoleCluster}}", {"BlackHoleCluster"}),
        ("{cluster: {portNumber: 7000}}", {"outbound|7000||ratings.default.svc.cluster.local"}),
        (
            "{cluster: {portNumber: 9080}}",
            {REVIEWS, V1, "outbound|9080||ratings.default.svc.cluster.local", "inbound|9080||"},
        ),
        ("{cluster: {service: ratings.default.svc.cluster.local}}", RATINGS),
        ("{cluster: {subset: v1}}", {V1}),
        ("{cluster: {service: reviews.default.svc.cluster.local, subset: v1, portNumber: 9080}}", {V1}),
        ("{cluster: {service: reviews.default.svc.cluster.local, subset: v1, portNumber: 7000}}", set()),
        ("{cluster: {service: nobody, portNumber: 9080}}", set()),
    ],
)
def test_clusters_are_found(match: str, names: set[str]) -> None:
    for operation in ("{operation: MERGE, value: {connect_timeout: 77s}}", "{operation: REMOVE}"):
        assert different(f"{{applyTo: CLUSTER, match: {match}, patch: {operation}}}", CLUSTER) == names


@pytest.mark.parametrize(
    ("context", "sidecars", "gateways"), [("ANY", 1, 1), ("SIDECAR_OUTBOUND", 1, 0), ("GATEWAY", 0, 1)]
)
def test_clusters_are_added(context: str, sidecars: int, gateways: int) -> None:
    patch = f"{{applyTo: CLUSTER, match: {{context: {context}}}, patch: {{operation: ADD, value: {{name: mine}}}}}}"
    assert len(different(patch, CLUSTER)) == sidecars
    assert len(different(patch, CLUSTER, gateway())) == gateways


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("{}", {"virtualOutbound", "0.0.0.0_9080", "0.0.0.0_7000", "virtualInbound"}),
        ("{context: SIDECAR_INBOUND}", {"virtualInbound"}),
        ("{context: SIDECAR_OUTBOUND}", {"virtualOutbound", "0.0.0.0_9080", "0.0.0.0_7000"}),
        ("{listener: {name: 0.0.0.0_7000}}", {"0.0.0.0_7000"}),
        ("{listener: {portNumber: 15006}}", {"virtualInbound"}),
        ("{listener: {portNumber: 7000, name: 0.0.0.0_9080}}", set()),
    ],
)
def test_listeners_are_found(match: str, names: set[str]) -> None:
    merge = "{operation: MERGE, value: {per_connection_buffer_limit_bytes: 77}}"
    assert different(f"{{applyTo: LISTENER, match: {match}, patch: {merge}}}", LISTENER, IN) == names
    remove = f"{{applyTo: LISTENER, match: {match}, patch: {{operation: REMOVE}}}}"
    assert different(remove, LISTENER, IN) == names
    assert names.isdisjoint(changed(remove, IN)[LISTENER])


def manager(listener: Any) -> Any:
    found = HttpConnectionManager()
    assert listener.filter_chains[0].filters[0].typed_config.Unpack(found)
    return found


def filters(operation: str, sub: str) -> list[str]:
    """The HTTP filters of the outbound listener after a patch beside one of them."""
    hcm = "envoy.filters.network.http_connection_manager"
    named = f", subFilter: {{name: envoy.filters.http.{sub}}}" if sub else ""
    match = f"{{context: SIDECAR_OUTBOUND, listener: {{filterChain: {{filter: {{name: {hcm}{named}}}}}}}}}"
    value = ", value: {name: envoy.filters.http.mine}" if operation != "REMOVE" else ""
    listener = changed(f"{{applyTo: HTTP_FILTER, match: {match}, patch: {{operation: {operation}{value}}}}}")[LISTENER]
    assert manager(listener["virtualInbound"]) == manager(build(WORLD, OUT)[LISTENER]["virtualInbound"])
    return [each.name.rpartition(".")[2] for each in manager(listener["virtualOutbound"]).http_filters]


@pytest.mark.parametrize(
    ("operation", "sub", "names"),
    [
        ("INSERT_BEFORE", "fault", ["cors", "mine", "fault", "router"]),
        ("INSERT_AFTER", "fault", ["cors", "fault", "mine", "router"]),
        ("INSERT_FIRST", "fault", ["mine", "cors", "fault", "router"]),
        ("INSERT_BEFORE", "", ["mine", "cors", "fault", "router"]),
        ("INSERT_BEFORE", "nothing", ["cors", "fault", "router"]),
        ("INSERT_AFTER", "router", ["cors", "fault", "router", "mine"]),
        ("REMOVE", "fault", ["cors", "router"]),
        ("REMOVE", "nothing", ["cors", "fault", "router"]),
        ("MERGE", "fault", ["cors", "mine", "router"]),
    ],
)
def test_filters_have_their_place(operation: str, sub: str, names: list[str]) -> None:
    assert filters(operation, sub) == names


def test_other_network_filters_are_left_alone() -> None:
    match = "{listener: {filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}}}"
    settings = f"{{'@type': type.googleapis.com/{HttpConnectionManager.DESCRIPTOR.full_name}, stream_idle_timeout: 7s}}"
    merge = f"{{operation: MERGE, value: {{typed_config: {settings}}}}}"
    assert different(f"{{applyTo: NETWORK_FILTER, match: {match}, patch: {merge}}}", LISTENER, IN) == set()


@pytest.mark.parametrize(
    ("match", "names"),
    [
        ("{}", {"http_proxy", "9080", "7000"}),
        ("{context: SIDECAR_OUTBOUND}", {"http_proxy", "9080", "7000"}),
        ("{context: SIDECAR_INBOUND}", set()),
        ("{routeConfiguration: {name: '9080'}}", {"9080"}),
        ("{routeConfiguration: {portNumber: 7000}}", {"7000"}),
        ("{routeConfiguration: {name: '9080', portNumber: 7000}}", set()),
    ],
)
def test_routes_are_found(match: str, names: set[str]) -> None:
    merge = "{operation: MERGE, value: {response_headers_to_remove: [x]}}"
    assert different(f"{{applyTo: ROUTE_CONFIGURATION, match: {match}, patch: {merge}}}", ROUTE, IN) == names


def hosts(patch: str) -> dict[str, list[str]]:
    """Virtual host → the names and time-outs of its routes, of the explicit proxy."""
    config = changed(patch)[ROUTE]["http_proxy"]
    return {
        host.name.partition(".")[0]: [f"{route.name} {route.route.timeout.seconds}" for route in host.routes]
        for host in config.virtual_hosts
        if host.name.startswith(("reviews", "ratings.default.svc.cluster.local:9080", "mine"))
    }


@pytest.mark.parametrize(
    ("apply_to", "operation", "route", "reviews", "ratings"),
    [
        ("HTTP_ROUTE", "ADD", "", ["default 0", "mine 0"], ["default 0"]),
        ("HTTP_ROUTE", "INSERT_FIRST", "", ["mine 0", "default 0"], ["default 0"]),
        ("HTTP_ROUTE", "MERGE", "default", ["mine 9"], ["default 0"]),
        ("HTTP_ROUTE", "MERGE", "", ["mine 9", "mine 9"], ["default 0"]),
        ("HTTP_ROUTE", "MERGE", "other", ["default 0"], ["default 0"]),
        ("HTTP_ROUTE", "REMOVE", "default", [], ["default 0"]),
        ("HTTP_ROUTE", "REMOVE", "other", ["default 0"], ["default 0"]),
    ],
)
def test_routes_have_their_place(
    apply_to: str, operation: str, route: str, reviews: list[str], ratings: list[str]
) -> None:
    named = f", route: {{name: {route}}}" if route else ""
    vhost = f"{{name: 'reviews.default.svc.cluster.local:9080'{named}}}"
    value = {"MERGE": ", value: {name: mine, route: {timeout: 9s}}", "REMOVE": ""}.get(
        operation, ", value: {name: mine}"
    )
    match = f"{{routeConfiguration: {{vhost: {vhost}}}}}"
    found = hosts(f"{{applyTo: {apply_to}, match: {match}, patch: {{operation: {operation}{value}}}}}")
    assert [name.replace("connect 0", "") for name in found["reviews"] if not name.startswith("connect")] == reviews
    assert [name for name in found["ratings"] if not name.startswith("connect")] == ratings


def test_virtual_hosts_come_and_go() -> None:
    added = hosts("{applyTo: VIRTUAL_HOST, patch: {operation: ADD, value: {name: mine}}}")
    assert added["mine"] == []
    match = "{routeConfiguration: {vhost: {name: 'reviews.default.svc.cluster.local:9080'}}}"
    left = hosts(f"{{applyTo: VIRTUAL_HOST, match: {match}, patch: {{operation: REMOVE}}}}")
    assert set(left) == {"ratings"}


@pytest.mark.parametrize(
    ("context", "is_changed"), [("ANY", True), ("SIDECAR_INBOUND", True), ("SIDECAR_OUTBOUND", False)]
)
def test_routes_that_an_inbound_listener_has_in_itself(context: str, is_changed: bool) -> None:
    merge = "{operation: MERGE, value: {route: {timeout: 9s}}}"
    patch = f"{{applyTo: HTTP_ROUTE, match: {{context: {context}}}, patch: {merge}}}"
    assert different(patch, LISTENER) == ({"virtualInbound"} if is_changed else set())
