"""EnvoyFilters: the patches that people use, on what one proxy gets."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate import Resources, build
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.node import Node
from mesh.xds import CLUSTER, LISTENER, ROUTE
from sidecar.config.clusters import compile_cluster
from sidecar.config.listeners import compile_listener
from sidecar.config.routes import compile_route_config
from tests.simulation.worlds import service, sidecar, world

REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
HCM = "envoy.filters.network.http_connection_manager"
LIMIT = """
name: envoy.filters.http.local_ratelimit
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
  stat_prefix: mine
  token_bucket: {max_tokens: 4, tokens_per_fill: 4, fill_interval: 60s}
  filter_enabled: {runtime_key: a, default_value: {numerator: 100}}
  filter_enforced: {runtime_key: b, default_value: {numerator: 100}}
"""


def envoy_filter(
    apply_to: str, operation: str, value: str = "{}", match: str = "{}", name: str = "f", more: str = ""
) -> str:
    indented = value.strip().replace("\n", "\n        ")
    return f"""
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: {name}}}
spec:
  {more or "priority: 0"}
  configPatches:
  - applyTo: {apply_to}
    match: {match}
    patch:
      operation: {operation}
      value:
        {indented}
"""


def made(*documents: str, node: Node | None = None) -> Resources:
    built = build(
        world(service("reviews"), service("ratings"), yaml="---\n".join(documents)), node or sidecar("reviews")
    )
    for type_url, check in ((CLUSTER, compile_cluster), (LISTENER, compile_listener), (ROUTE, compile_route_config)):
        for message in built[type_url].values():
            check(message)  # our own sidecar takes it
    return built


def manager(listener: Any) -> Any:
    found = HttpConnectionManager()
    assert listener.filter_chains[0].filters[0].typed_config.Unpack(found)
    return found


def filters(built: Resources, name: str) -> list[str]:
    return [each.name.rpartition(".")[2] for each in manager(built[LISTENER][name]).http_filters]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("INSERT_BEFORE", ["cors", "fault", "local_ratelimit", "router"]),
        ("INSERT_FIRST", ["local_ratelimit", "cors", "fault", "router"]),
        ("INSERT_AFTER", ["cors", "fault", "local_ratelimit", "router"]),
    ],
)
def test_a_filter_is_inserted(operation: str, expected: list[str]) -> None:
    beside = "fault" if operation == "INSERT_AFTER" else "router"
    sub = f"subFilter: {{name: envoy.filters.http.{beside}}}"
    match = f"{{context: SIDECAR_OUTBOUND, listener: {{filterChain: {{filter: {{name: {HCM}, {sub}}}}}}}}}"
    built = made(envoy_filter("HTTP_FILTER", operation, LIMIT, match))
    assert filters(built, "virtualOutbound") == expected
    assert "local_ratelimit" not in filters(built, "virtualInbound")


def test_a_filter_is_removed() -> None:
    match = f"{{listener: {{filterChain: {{filter: {{name: {HCM}, subFilter: {{name: envoy.filters.http.cors}}}}}}}}}}"
    assert filters(made(envoy_filter("HTTP_FILTER", "REMOVE", match=match)), "virtualOutbound") == ["fault", "router"]


def test_settings_of_a_connection_manager() -> None:
    value = f"""
typed_config:
  "@type": type.googleapis.com/{HttpConnectionManager.DESCRIPTOR.full_name}
  stream_idle_timeout: 7s
  xff_num_trusted_hops: 2
"""
    match = f"{{context: SIDECAR_INBOUND, listener: {{filterChain: {{filter: {{name: {HCM}}}}}}}}}"
    built = made(envoy_filter("NETWORK_FILTER", "MERGE", value, match))
    changed, other = manager(built[LISTENER]["virtualInbound"]), manager(built[LISTENER]["virtualOutbound"])
    assert (changed.stream_idle_timeout.seconds, changed.xff_num_trusted_hops) == (7, 2)
    assert changed.stat_prefix.startswith("inbound_")
    assert (other.stream_idle_timeout.seconds, other.xff_num_trusted_hops) == (0, 0)


def test_clusters() -> None:
    match = "{context: SIDECAR_OUTBOUND, cluster: {service: reviews.default.svc.cluster.local, portNumber: 9080}}"
    built = made(envoy_filter("CLUSTER", "MERGE", "connect_timeout: 3s", match))
    assert built[CLUSTER][REVIEWS].connect_timeout.seconds == 3
    assert built[CLUSTER]["inbound|9080||"].connect_timeout.seconds == 10
    assert REVIEWS not in made(envoy_filter("CLUSTER", "REMOVE", match=match))[CLUSTER]
    added = "name: mine\ntype: STATIC\nconnect_timeout: 1s"
    assert "mine" in made(envoy_filter("CLUSTER", "ADD", added))[CLUSTER]


def test_what_is_shared_is_not_changed() -> None:
    where = world(
        service("reviews"),
        yaml=envoy_filter("CLUSTER", "MERGE", "connect_timeout: 3s", more="workloadSelector: {labels: {app: special}}"),
    )
    special, other = (build(where, sidecar(name, labels={"app": name})) for name in ("special", "plain"))
    assert special[CLUSTER][REVIEWS].connect_timeout.seconds == 3
    assert other[CLUSTER][REVIEWS].connect_timeout.seconds == 10


def test_routes() -> None:
    vhost = "vhost: {name: 'reviews.default.svc.cluster.local:9080'}"
    named = f"{{context: SIDECAR_OUTBOUND, routeConfiguration: {{name: http_proxy, {vhost}}}}}"
    first = "name: mine\nmatch: {path: /mine}\ndirect_response: {status: 418}"
    built = made(envoy_filter("HTTP_ROUTE", "INSERT_FIRST", first, named))
    hosts = {host.name: host for host in built[ROUTE]["http_proxy"].virtual_hosts}
    assert hosts["reviews.default.svc.cluster.local:9080"].routes[0].name == "mine"
    assert hosts["ratings.default.svc.cluster.local:9080"].routes[0].name != "mine"
    merged = made(envoy_filter("VIRTUAL_HOST", "MERGE", "request_headers_to_remove: [x-a]", named))
    hosts = {host.name: host for host in merged[ROUTE]["http_proxy"].virtual_hosts}
    assert list(hosts["reviews.default.svc.cluster.local:9080"].request_headers_to_remove) == ["x-a"]
    inbound = made(envoy_filter("HTTP_ROUTE", "MERGE", "route: {timeout: 3s}", "{context: SIDECAR_INBOUND}"))
    route = manager(inbound[LISTENER]["virtualInbound"]).route_config.virtual_hosts[0].routes[0]
    assert (route.route.timeout.seconds, route.route.cluster) == (3, "inbound|9080||")
    whole = made(envoy_filter("ROUTE_CONFIGURATION", "MERGE", "response_headers_to_remove: [server]"))
    assert list(whole[ROUTE]["http_proxy"].response_headers_to_remove) == ["server"]


def test_the_root_namespace_goes_first_and_priority_before_that() -> None:
    def merge(seconds: int, name: str, priority: int = 0) -> str:
        return envoy_filter("CLUSTER", "MERGE", f"connect_timeout: {seconds}s", name=name, more=f"priority: {priority}")

    root, own = merge(1, "a, namespace: istio-system"), merge(2, "b")
    assert made(own, root)[CLUSTER][REVIEWS].connect_timeout.seconds == 2
    assert made(own, root, merge(3, "c", -1))[CLUSTER][REVIEWS].connect_timeout.seconds == 2
    assert made(own, merge(4, "d, namespace: elsewhere"))[CLUSTER][REVIEWS].connect_timeout.seconds == 2


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (envoy_filter("CLUSTER", "MERGE", "conect_timeout: 3s"), "is no Cluster of Envoy's"),
        (envoy_filter("HTTP_FILTER", "MERGE", LIMIT.replace("LocalRateLimit", "Nothing")), "is no message of Envoy's"),
        (envoy_filter("BOOTSTRAP", "MERGE"), "BOOTSTRAP is known to Istio, not implemented yet"),
        (
            envoy_filter("CLUSTER", "INSERT_FIRST"),
            "INSERT_FIRST of CLUSTER is not implemented yet; there is ADD, MERGE, REMOVE",
        ),
        (envoy_filter("CLUSTER", "REPLACE"), "REPLACE is known to Istio, not implemented yet"),
        (envoy_filter("CLUSTER", "REMOVE", match="{proxy: {proxyVersion: x}}"), "proxy: known to Istio"),
    ],
)
def test_what_is_refused(document: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(document)
    assert problem in str(caught.value)
