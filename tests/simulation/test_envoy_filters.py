"""EnvoyFilters: the patches that people use, on what one proxy gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from control_plane.translate import Resources, build
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.node import Node
from mesh.xds import CLUSTER, LISTENER, ROUTE
from sidecar.config.clusters import compile_cluster
from sidecar.config.listeners import compile_listener
from sidecar.config.routes import compile_route_config
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import service, sidecar, transparent, world

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


FAULT = """
name: envoy.filters.http.fault
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
  abort: {http_status: 503, percentage: {numerator: 100}}
"""


def listener_match(inside: str, context: str = "SIDECAR_OUTBOUND") -> str:
    return f"{{context: {context}, listener: {{{inside}}}}}"


def test_a_filter_is_replaced_or_merged() -> None:
    match = listener_match(f"filterChain: {{filter: {{name: {HCM}, subFilter: {{name: envoy.filters.http.fault}}}}}}")
    for operation in ("REPLACE", "MERGE"):
        built = made(envoy_filter("HTTP_FILTER", operation, FAULT, match))
        assert filters(built, "virtualOutbound") == ["cors", "fault", "router"]
        fault = HTTPFault()
        assert manager(built[LISTENER]["virtualOutbound"]).http_filters[1].typed_config.Unpack(fault)
        assert fault.abort.http_status == 503
    assert not manager(built[LISTENER]["virtualInbound"]).http_filters[0].name.endswith("fault")
    # What the value does not say of the filter stays as it was.
    limited = envoy_filter("HTTP_FILTER", "INSERT_FIRST", LIMIT, name="a", more="priority: 1")
    sub = "subFilter: {name: envoy.filters.http.local_ratelimit}"
    more = """
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
  status: {code: ServiceUnavailable}
"""
    match = listener_match(f"filterChain: {{filter: {{name: {HCM}, {sub}}}}}")
    built = made(limited, envoy_filter("HTTP_FILTER", "MERGE", more, match, name="b", more="priority: 2"))
    limit = LocalRateLimit()
    assert manager(built[LISTENER]["virtualOutbound"]).http_filters[0].typed_config.Unpack(limit)
    assert (limit.token_bucket.max_tokens, limit.status.code) == (4, 503)


INSPECTOR = """
name: envoy.filters.listener.tls_inspector
typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}
"""


def test_listener_filters() -> None:
    for operation in ("ADD", "INSERT_FIRST", "INSERT_BEFORE", "INSERT_AFTER"):
        built = made(envoy_filter("LISTENER_FILTER", operation, INSPECTOR, listener_match("name: virtualOutbound")))
        assert [each.name for each in built[LISTENER]["virtualOutbound"].listener_filters] == [
            "envoy.filters.listener.tls_inspector"
        ]
    node = transparent("reviews")
    match = listener_match("listenerFilter: envoy.filters.listener.original_dst", "SIDECAR_INBOUND")
    built = made(envoy_filter("LISTENER_FILTER", "INSERT_BEFORE", INSPECTOR, match), node=node)
    names = [each.name.rpartition(".")[2] for each in built[LISTENER]["virtualInbound"].listener_filters]
    assert names[:2] == ["tls_inspector", "original_dst"]
    built = made(envoy_filter("LISTENER_FILTER", "REMOVE", match=match), node=node)
    names = [each.name.rpartition(".")[2] for each in built[LISTENER]["virtualInbound"].listener_filters]
    assert "original_dst" not in names


CHAIN = """
name: mine
filter_chain_match: {destination_port: 7}
filters:
- name: envoy.filters.network.tcp_proxy
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
    stat_prefix: mine
    cluster: mine
"""


def test_filter_chains() -> None:
    node = transparent("reviews")

    def chains(built: Resources) -> list[str]:
        return [chain.name for chain in built[LISTENER]["virtualInbound"].filter_chains]

    before = chains(made(node=node))
    inbound = listener_match("name: virtualInbound", "SIDECAR_INBOUND")
    assert chains(made(envoy_filter("FILTER_CHAIN", "ADD", CHAIN, inbound), node=node)) == [*before, "mine"]
    one = listener_match("filterChain: {destinationPort: 9080}", "SIDECAR_INBOUND")
    assert chains(made(envoy_filter("FILTER_CHAIN", "REMOVE", match=one), node=node)) == [
        name for name in before if not name.startswith("inbound|9080")
    ]
    merged = made(envoy_filter("FILTER_CHAIN", "MERGE", "metadata: {filter_metadata: {a: {b: c}}}", one), node=node)
    changed = [chain for chain in merged[LISTENER]["virtualInbound"].filter_chains if chain.HasField("metadata")]
    assert [chain.filter_chain_match.destination_port.value for chain in changed] == [9080]


def test_filters_of_one_chain() -> None:
    node = transparent("reviews")
    one = f"filterChain: {{destinationPort: 9080, filter: {{name: {HCM}, subFilter: {{name: envoy.filters.http.router}}}}}}"
    built = made(envoy_filter("HTTP_FILTER", "INSERT_BEFORE", LIMIT, listener_match(one, "SIDECAR_INBOUND")), node=node)
    for chain in built[LISTENER]["virtualInbound"].filter_chains:
        found = HttpConnectionManager()
        if chain.filters[0].typed_config.Unpack(found):
            limited = any(each.name == "envoy.filters.http.local_ratelimit" for each in found.http_filters)
            assert limited == (chain.filter_chain_match.destination_port.value == 9080)


LISTENING = """
name: mine
address: {socket_address: {address: 127.0.0.1, port_value: 7777}}
filter_chains:
- filters:
  - name: envoy.filters.network.tcp_proxy
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: mine
      cluster: PassthroughCluster
"""


def test_listeners() -> None:
    added = envoy_filter("LISTENER", "ADD", LISTENING, "{context: SIDECAR_OUTBOUND}")
    assert "mine" in made(added)[LISTENER]
    assert "mine" not in made(added.replace("SIDECAR_OUTBOUND", "GATEWAY"))[LISTENER]
    gone = envoy_filter("LISTENER", "REMOVE", match=listener_match("name: virtualInbound", "SIDECAR_INBOUND"))
    assert "virtualInbound" not in made(gone)[LISTENER]


def test_network_filters() -> None:
    tcp = """
name: envoy.filters.network.tcp_proxy
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
  idle_timeout: 5s
"""
    match = listener_match("filterChain: {filter: {name: envoy.filters.network.tcp_proxy}}", "SIDECAR_INBOUND")
    node = transparent("reviews")
    built = made(envoy_filter("NETWORK_FILTER", "MERGE", tcp, match), node=node)
    proxy = TcpProxy()
    chain = built[LISTENER]["virtualInbound"].default_filter_chain
    assert chain.filters[0].typed_config.Unpack(proxy)
    assert (proxy.idle_timeout.seconds, proxy.cluster) == (5, "InboundPassthroughCluster")
    # Filters that our sidecar does not have are for an Envoy in its place.
    limit = """
name: envoy.filters.network.connection_limit
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit
  stat_prefix: mine
  max_connections: 5
"""
    document = envoy_filter("NETWORK_FILTER", "INSERT_FIRST", limit, listener_match("name: virtualOutbound"))
    built = build(world(service("reviews"), yaml=document), sidecar("reviews"))
    names = [each.name for each in built[LISTENER]["virtualOutbound"].filter_chains[0].filters]
    assert names == ["envoy.filters.network.connection_limit", HCM]


@pytest.mark.parametrize("node", [sidecar("reviews"), transparent("reviews")], ids=["explicit", "transparent"])
def test_a_real_envoy_takes_what_comes_of_them(node: Node, tmp_path: Path) -> None:
    router = listener_match(f"filterChain: {{filter: {{name: {HCM}, subFilter: {{name: envoy.filters.http.router}}}}}}")
    fault = router.replace("http.router", "http.fault")
    inbound = listener_match("name: virtualInbound", "SIDECAR_INBOUND")
    documents = (
        envoy_filter("HTTP_FILTER", "INSERT_BEFORE", LIMIT, router, "a"),
        envoy_filter("HTTP_FILTER", "REPLACE", FAULT, fault, "b"),
        envoy_filter("LISTENER_FILTER", "INSERT_FIRST", INSPECTOR, listener_match("name: virtualOutbound"), "c"),
        envoy_filter(
            "FILTER_CHAIN", "ADD", CHAIN.replace("cluster: mine", "cluster: PassthroughCluster"), inbound, "d"
        ),
        envoy_filter("LISTENER", "ADD", LISTENING, "{context: SIDECAR_OUTBOUND}", "e"),
    )
    assert_envoy_accepts(made(*documents, node=node), tmp_path)


def test_routes_beside_others() -> None:
    rules = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - {name: old, match: [{uri: {exact: /old}}], redirect: {uri: /new}}
  - {name: rest, route: [{destination: {host: reviews}}]}
"""
    added = "name: mine\nmatch: {path: /mine}\ndirect_response: {status: 418}"

    def names(operation: str, value: str, route: str) -> list[str]:
        domain = "vhost: {domainName: reviews.default.svc.cluster.local, route: " + route + "}"
        match = f"{{context: SIDECAR_OUTBOUND, routeConfiguration: {{name: http_proxy, {domain}}}}}"
        built = made(rules, envoy_filter("HTTP_ROUTE", operation, value, match))
        hosts = {host.name: host for host in built[ROUTE]["http_proxy"].virtual_hosts}
        assert not any(route.name == "mine" for route in hosts["ratings.default.svc.cluster.local:9080"].routes)
        return [
            route.name
            for route in hosts["reviews.default.svc.cluster.local:9080"].routes
            if not route.match.HasField("connect_matcher")
        ]

    assert names("INSERT_BEFORE", added, "{name: rest}") == ["old", "mine", "rest"]
    assert names("INSERT_AFTER", added, "{name: old}") == ["old", "mine", "rest"]
    assert names("REMOVE", "{}", "{action: REDIRECT}") == ["rest"]


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (envoy_filter("CLUSTER", "MERGE", "conect_timeout: 3s"), "is no Cluster of Envoy's"),
        (envoy_filter("HTTP_FILTER", "MERGE", LIMIT.replace("LocalRateLimit", "Nothing")), "is no message of Envoy's"),
        (envoy_filter("BOOTSTRAP", "MERGE"), "BOOTSTRAP is known to Istio, not implemented yet"),
        (
            envoy_filter("CLUSTER", "INSERT_FIRST"),
            "INSERT_FIRST of CLUSTER is not implemented yet; there is ADD, MERGE, MERGE_AND_REPLACE_LIST, REMOVE",
        ),
        (
            envoy_filter("CLUSTER", "REPLACE"),
            "REPLACE of CLUSTER is not implemented yet; there is ADD, MERGE, MERGE_AND_REPLACE_LIST, REMOVE",
        ),
        (envoy_filter("HTTP_FILTER", "REPLACE", LIMIT), "match: must name what is to be replaced"),
        (envoy_filter("EXTENSION_CONFIG", "ADD"), "put the whole filter in: applyTo HTTP_FILTER"),
        (
            envoy_filter("CLUSTER", "MERGE", match="{listener: {portName: http}}"),
            "portName: known to Istio, not implemented yet: Istio makes nothing of it either",
        ),
        (
            envoy_filter("HTTP_ROUTE", "MERGE", match="{routeConfiguration: {gateway: a/b}}"),
            "plain HTTP is told by name (http.80) or portNumber",
        ),
        (envoy_filter("CLUSTER", "MERGE", match="{proxy: {proxyVersion: '('}}"), "proxyVersion"),
    ],
)
def test_what_is_refused(document: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(document)
    assert problem in str(caught.value)


def test_lists_are_added_to_or_replaced() -> None:
    match = "{context: SIDECAR_OUTBOUND, routeConfiguration: {vhost: {name: 'reviews.default.svc.cluster.local:9080'}}}"

    def domains(operation: str) -> list[str]:
        built = made(envoy_filter("VIRTUAL_HOST", operation, "domains: [also.test]", match))
        hosts = [host for host in built[ROUTE]["http_proxy"].virtual_hosts if "also.test" in host.domains]
        assert len(hosts) == 1
        return list(hosts[0].domains)

    assert len(domains("MERGE")) > 1
    assert domains("MERGE_AND_REPLACE_LIST") == ["also.test"]


def test_lists_within_a_filter_are_replaced() -> None:
    value = f"""
name: {HCM}
typed_config:
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
  upgrade_configs: [{{upgrade_type: other}}]
"""
    match = "{context: SIDECAR_OUTBOUND}"
    found = manager(made(envoy_filter("NETWORK_FILTER", "MERGE", value, match))[LISTENER]["virtualOutbound"])
    assert len(found.upgrade_configs) > 1
    only = manager(
        made(envoy_filter("NETWORK_FILTER", "MERGE_AND_REPLACE_LIST", value, match))[LISTENER]["virtualOutbound"]
    )
    assert [each.upgrade_type for each in only.upgrade_configs] == ["other"]


@pytest.mark.parametrize(
    ("match", "meant"),
    [
        ("{}", True),
        ("{proxyVersion: '^1[.]2[0-9]'}", True),
        ("{proxyVersion: '^1[.]1'}", False),
        ("{metadata: {ZONE: a}}", True),
        ("{metadata: {ZONE: b}}", False),
        ("{metadata: {ZONE: a, NOSUCH: ''}}", False),
        ("{proxyVersion: '^1[.]2', metadata: {ZONE: a}}", True),
    ],
)
def test_some_proxies_are_meant(match: str, meant: bool) -> None:
    patch = envoy_filter("CLUSTER", "MERGE", "connect_timeout: 7s", f"{{proxy: {match}}}")
    node = replace(sidecar("reviews"), metadata={"ISTIO_VERSION": "1.27.1", "ZONE": "a"})
    assert (made(patch, node=node)[CLUSTER][REVIEWS].connect_timeout.seconds == 7) is meant


def test_a_proxy_that_says_no_version_is_not_meant() -> None:
    patch = envoy_filter("CLUSTER", "MERGE", "connect_timeout: 7s", "{proxy: {proxyVersion: '.*1.*'}}")
    assert made(patch)[CLUSTER][REVIEWS].connect_timeout.seconds != 7


@pytest.mark.parametrize("node", [sidecar("reviews"), transparent("reviews")], ids=["explicit", "transparent"])
@pytest.mark.parametrize(("port", "meant"), [(9080, True), (1, False)])
def test_a_port_is_that_of_the_chain_where_all_come_to_one_listener(node: Node, port: int, meant: bool) -> None:
    match = f"{{context: SIDECAR_INBOUND, listener: {{portNumber: {port}, filterChain: {{filter: {{name: {HCM}}}}}}}}}"
    listener = made(envoy_filter("HTTP_FILTER", "INSERT_FIRST", LIMIT, match), node=node)[LISTENER]["virtualInbound"]
    chain = next(each for each in listener.filter_chains if each.name == "inbound|9080||")
    found = HttpConnectionManager()
    assert chain.filters[0].typed_config.Unpack(found)
    assert (found.http_filters[0].name == "envoy.filters.http.local_ratelimit") is meant
