"""A MeshConfig document, as it reaches what proxies are sent: each field changes something, or is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.registry.services import discover
from control_plane.translate import Resources, build
from control_plane.translate.cluster_policy import HTTP_OPTIONS
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.istio.mesh_config import MeshConfig
from mesh.istio.refused import REFUSED
from mesh.node import Locality
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.simulation.scenarios import destination_rule
from tests.simulation.validation import assert_envoy_accepts
from tests.simulation.worlds import gateway, instance, service, sidecar, transparent, world

REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
RULE = (
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ratings}\nspec: {hosts: [ratings], "
    "http: [{match: [{uri: {exact: /own}}], retries: {attempts: 5}, route: [{destination: {host: ratings}}]}, "
    "{route: [{destination: {host: ratings}}]}]}\n"
)


def document(spec: str, name: str = "mesh") -> str:
    return f"apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: MeshConfig\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def made(*specs: str) -> Resources:
    texts = [document(spec, f"mesh-{number}") for number, spec in enumerate(specs)]
    return build(world(service("reviews"), service("ratings"), yaml="---\n".join([RULE, *texts])), sidecar("reviews"))


def manager(built: Resources) -> Any:
    found = HttpConnectionManager()
    assert built[LISTENER]["virtualOutbound"].filter_chains[0].filters[0].typed_config.Unpack(found)
    return found


def retries(built: Resources) -> dict[str, int]:
    """By path and host, how often a request is tried again."""
    hosts = {host.name.partition(".")[0]: host.routes for host in built[ROUTE]["http_proxy"].virtual_hosts}
    return {
        f"{name}{route.match.path or '/'}": route.route.retry_policy.num_retries.value
        for name in ("reviews", "ratings")
        for route in hosts[name]
        if not route.match.HasField("connect_matcher")
    }


def test_access_logs() -> None:
    assert len(manager(made("")).access_log) == 1
    assert len(manager(made("accessLogFile: ''")).access_log) == 0
    (log,) = manager(made("accessLogFile: /tmp/log, accessLogEncoding: JSON")).access_log
    assert b"/tmp/log" in log.typed_config.value
    (log,) = manager(made('accessLogFormat: "%RESPONSE_CODE% only"')).access_log
    assert b"%RESPONSE_CODE% only" in log.typed_config.value


def test_tracing() -> None:
    assert manager(made("defaultConfig: {tracing: {sampling: 12.5}}")).tracing.random_sampling.value == 12.5
    assert not manager(made("enableTracing: false")).HasField("tracing")


def test_hosts_that_nobody_declared() -> None:
    def allowed(built: Resources) -> bool:
        names = [host.name for host in built[ROUTE]["http_proxy"].virtual_hosts]
        return "allow_any" in names

    assert allowed(made(""))
    assert not allowed(made("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"))


def test_connections() -> None:
    cluster = made("connectTimeout: 1.5s, tcpKeepalive: {probes: 3, time: 60s, interval: 5s}")[CLUSTER][REVIEWS]
    assert (cluster.connect_timeout.seconds, cluster.connect_timeout.nanos) == (1, 500_000_000)
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    assert (keepalive.keepalive_probes.value, keepalive.keepalive_time.value, keepalive.keepalive_interval.value) == (
        3,
        60,
        5,
    )
    assert not made("")[CLUSTER][REVIEWS].HasField("upstream_connection_options")
    assert not made("tcpKeepalive: {probes: 3}")[CLUSTER]["inbound|9080||"].HasField("upstream_connection_options")


def test_http2_between_proxies() -> None:
    def speaks_http2(built: Resources, name: str) -> bool:
        packed = built[CLUSTER][name].typed_extension_protocol_options.get(HTTP_OPTIONS)
        options = HttpProtocolOptions()
        return (
            packed is not None
            and packed.Unpack(options)
            and options.explicit_http_config.HasField("http2_protocol_options")
        )

    upgraded = made("h2UpgradePolicy: UPGRADE")
    assert speaks_http2(upgraded, REVIEWS)
    assert not speaks_http2(upgraded, "inbound|9080||")  # the app is not asked
    assert not speaks_http2(made("h2UpgradePolicy: DO_NOT_UPGRADE"), REVIEWS)


def test_retries_of_rules_that_say_nothing() -> None:
    assert retries(made("")) == {"reviews/": 2, "ratings/own": 5, "ratings/": 2}
    assert retries(made("defaultHttpRetryPolicy: {attempts: 4}")) == {"reviews/": 4, "ratings/own": 5, "ratings/": 4}
    none = made("defaultHttpRetryPolicy: {attempts: 0}")
    assert retries(none) == {"reviews/": 0, "ratings/own": 5, "ratings/": 0}


PLACES = (
    ("10.0.0.1", Locality("eu", "eu-1", "a")),
    ("10.0.0.2", Locality("us", "us-1", "a")),
    ("10.0.0.3", Locality("ap", "ap-1", "a")),
)


def priorities(spec: str, rule: str = "outlierDetection: {consecutive5xxErrors: 1}") -> list[int]:
    """Of an endpoint here, one that may take over, and another one."""
    policy = destination_rule(f"{{host: reviews, {rule}}}")
    where = world(
        service("reviews"),
        yaml=f"{policy}---\n{document(spec)}",
        instances={"reviews": [instance(address, locality=place) for address, place in PLACES]},
    )
    groups = build(where, sidecar("client", locality=PLACES[0][1]))[ENDPOINT][REVIEWS].endpoints
    found = {e.endpoint.address.socket_address.address: g.priority for g in groups for e in g.lb_endpoints}
    return [found.get(address, -1) for address, _ in PLACES]


def test_places_of_the_whole_mesh() -> None:
    outlier = "trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}}"
    own = "trafficPolicy: {outlierDetection: {consecutive5xxErrors: 1}, loadBalancer: {localityLbSetting: {enabled: true}}}"
    assert priorities("", outlier) == [0, 1, 1]
    assert priorities("localityLbSetting: {failover: [{from: eu, to: ap}]}", outlier) == [0, 2, 1]
    assert priorities("localityLbSetting: {enabled: false}", outlier) == [0, 0, 0]
    assert priorities("localityLbSetting: {enabled: false}", own) == [0, 1, 1]  # what a rule says comes first
    assert priorities("localityLbSetting: {distribute: [{from: eu, to: {us: 100}}]}", "subsets: []") == [-1, 0, -1]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("NONE", (False, False, "KEEP_UNCHANGED")),
        ("DEFAULT", (True, False, "KEEP_UNCHANGED")),
        ("BASE", (True, False, "KEEP_UNCHANGED")),
        ("MERGE_SLASHES", (True, True, "KEEP_UNCHANGED")),
        ("DECODE_AND_MERGE_SLASHES", (True, True, "UNESCAPE_AND_FORWARD")),
    ],
)
def test_paths_are_normalised(said: str, expected: tuple[bool, bool, str]) -> None:
    found = manager(made(f"pathNormalization: {{normalization: {said}}}"))
    escaped = HttpConnectionManager.PathWithEscapedSlashesAction.Name(found.path_with_escaped_slashes_action)
    assert (found.normalize_path.value, found.merge_slashes, escaped) == expected


def test_tags_of_spans() -> None:
    spec = "tracing: {customTags: {team: {literal: {value: shop}}}, enableIstioTags: false, maxPathTagLength: 20}"
    tracing = manager(made(f"defaultConfig: {{{spec}}}")).tracing
    assert [(tag.tag, tag.literal.value) for tag in tracing.custom_tags] == [("team", "shop")]
    assert tracing.max_path_tag_length.value == 20


def test_proxies_in_front_of_gateways() -> None:
    edge = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\n"
    edge += "spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, "
    edge += "hosts: ['*']}]}\n"
    mesh = document("defaultConfig: {gatewayTopology: {numTrustedProxies: 2}}")
    built = build(world(service("reviews"), yaml=f"{edge}---\n{mesh}"), gateway())
    found = HttpConnectionManager()
    assert built[LISTENER]["0.0.0.0_80"].filter_chains[0].filters[0].typed_config.Unpack(found)
    assert found.xff_num_trusted_hops == 2
    assert manager(made("defaultConfig: {gatewayTopology: {numTrustedProxies: 2}}")).xff_num_trusted_hops == 0


def test_protocols_are_waited_for_and_names_looked_up_again() -> None:
    entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\nspec: {hosts: [a.example], "
    entry += "ports: [{number: 9, name: odd}], addresses: [240.0.0.1], resolution: DNS}\n"
    base = world(yaml=f"{entry}---\n{document('protocolDetectionTimeout: 2s, dnsRefreshRate: 7s')}")
    services, instances = discover(base.resources, ())
    built = build(replace(base, services=services, instances=instances), transparent("reviews"))
    waits = {listener.listener_filters_timeout.seconds for listener in built[LISTENER].values()}
    assert 2 in waits
    assert built[CLUSTER]["outbound|9||a.example"].dns_refresh_rate.seconds == 7


def told(spec: str, namespace: str) -> tuple[bool, bool, bool]:
    """Whether a client of a namespace has the service, the VirtualService and the DestinationRule of `default`."""
    rule = destination_rule("{host: ratings, trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}")
    where = world(service("reviews"), service("ratings"), yaml="---\n".join((RULE, rule, document(spec))))
    built = build(where, sidecar("client", namespace=namespace))
    name = "outbound|9080||ratings.default.svc.cluster.local"
    if name not in built[CLUSTER]:
        return False, False, False
    limited = built[CLUSTER][name].circuit_breakers.thresholds[0].max_connections.value == 7
    return True, retries(built).get("ratings/own") == 5, limited


def test_what_is_exported_where_nothing_says_so() -> None:
    assert told("", "other") == (True, True, True)
    assert told("defaultServiceExportTo: ['.']", "other") == (False, False, False)
    assert told("defaultVirtualServiceExportTo: ['.']", "other") == (True, False, True)
    assert told("defaultDestinationRuleExportTo: ['.']", "other") == (True, True, False)
    everything = (
        "defaultServiceExportTo: ['.'], defaultVirtualServiceExportTo: ['.'], defaultDestinationRuleExportTo: ['.']"
    )
    assert told(everything, "default") == (True, True, True)


def test_the_root_namespace() -> None:
    rule = "{host: '*.local', trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}}"
    text = f"{destination_rule(rule, 'mesh, namespace: roots')}---\n{document('rootNamespace: roots')}"
    made_of = build(world(service("reviews"), yaml=text), sidecar("client", namespace="other"))
    assert made_of[CLUSTER][REVIEWS].circuit_breakers.thresholds[0].max_connections.value == 7


def added(spec: str) -> Resources:
    return made(f"defaultConfig: {{proxyHeaders: {{{spec}}}}}")


def inbound(built: Resources) -> Any:
    found = HttpConnectionManager()
    assert built[LISTENER]["virtualInbound"].filter_chains[0].filters[0].typed_config.Unpack(found)
    return found


def servers(built: Resources) -> set[tuple[str, str]]:
    transformation = HttpConnectionManager.ServerHeaderTransformation.Name
    managers = (manager(built), inbound(built))
    return {(each.server_name, transformation(each.server_header_transformation)) for each in managers}


def test_the_server_header() -> None:
    assert servers(added("")) == {("", "OVERWRITE"), ("istio-envoy", "OVERWRITE")}
    assert servers(added("server: {value: shop}")) == {("shop", "OVERWRITE")}
    assert servers(added("server: {disabled: true}")) == {("", "PASS_THROUGH")}


def test_headers_that_are_not_added() -> None:
    def seen(built: Resources) -> tuple[set[bool], set[bool], set[bool]]:
        managers = (manager(built), inbound(built))
        routers = [Router.FromString(each.http_filters[-1].typed_config.value) for each in managers]
        hosts = [host for config in built[ROUTE].values() for host in config.virtual_hosts]
        counted = {
            host.include_request_attempt_count for host in hosts if not host.routes[0].HasField("direct_response")
        }
        identified = {each.generate_request_id.value for each in managers}
        return identified, {router.suppress_envoy_headers for router in routers}, counted

    assert seen(added("")) == ({True}, {False}, {True})
    assert seen(added("requestId: {disabled: true}")) == ({False}, {False}, {True})
    assert seen(added("envoyDebugHeaders: {disabled: true}")) == ({True}, {True}, {True})
    off = "attemptCount: {disabled: true}"
    assert seen(added(off)) == ({True}, {False}, {False})
    captured = build(
        world(service("reviews"), yaml=document(f"defaultConfig: {{proxyHeaders: {{{off}}}}}")), transparent()
    )
    assert not any(h.include_request_attempt_count for config in captured[ROUTE].values() for h in config.virtual_hosts)


def test_headers_that_are_added() -> None:
    assert not manager(added("")).append_x_forwarded_port
    assert manager(added("xForwardedPort: {enabled: true}")).append_x_forwarded_port
    rule = RULE.replace("/own}}],", "/own}}], rewrite: {authority: other},")

    def appends(spec: str) -> bool:
        text = f"{rule}---\n{document(f'defaultConfig: {{proxyHeaders: {{{spec}}}}}')}"
        hosts = build(world(service("ratings"), yaml=text), sidecar("reviews"))[ROUTE]["http_proxy"].virtual_hosts
        return any(route.route.append_x_forwarded_host for host in hosts for route in host.routes)

    assert appends("xForwardedHost: {enabled: true}") and not appends("")


def test_who_is_told_what_a_workload_is() -> None:
    entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\nspec: {hosts: [a.example], "
    entry += (
        "ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 10.0.0.9}]}\n"
    )

    def told(mode: str) -> tuple[bool, bool, bool]:
        mesh = document(f"defaultConfig: {{proxyHeaders: {{metadataExchangeHeaders: {{mode: {mode}}}}}}}")
        base = world(service("reviews"), yaml=f"{entry}---\n{mesh}")
        services, _ = discover(base.resources, ())
        built = build(replace(base, services={**base.services, **services}), sidecar("reviews"))
        names = [each.name for each in manager(built).http_filters]
        clusters = (built[CLUSTER]["outbound|80||a.example"], built[CLUSTER][REVIEWS])
        external = [each.metadata.filter_metadata["istio"].fields["external"].bool_value for each in clusters]
        return "istio.peer_metadata" in names, external[0], external[1]

    assert told("UNDEFINED") == (False, False, False)
    assert told("IN_MESH") == (True, True, False)


def test_names_of_headers_go_on_as_they_came() -> None:
    kept = added("preserveHttp1HeaderCase: true")
    for each in (manager(kept), inbound(kept)):
        assert each.http_protocol_options.header_key_format.HasField("stateful_formatter")
    for name in (REVIEWS, "inbound|9080||"):
        options = HttpProtocolOptions()
        assert kept[CLUSTER][name].typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
        assert options.explicit_http_config.http_protocol_options.header_key_format.HasField("stateful_formatter")
    assert HTTP_OPTIONS not in added("")[CLUSTER][REVIEWS].typed_extension_protocol_options


def test_what_has_no_effect_has_none() -> None:
    without = made("")
    spec = (
        "inboundTrafficPolicy: {mode: LOCALHOST}, serviceSettings: [{settings: {clusterLocal: true}, hosts: ['*.local']}], "
        "enablePrometheusMerge: true, disableEnvoyListenerLog: true, defaultConfig: {extraStatTags: [team], "
        "proxyStatsMatcher: {inclusionPrefixes: [http], inclusionSuffixes: [x], inclusionRegexps: ['.*']}}"
    )
    assert {kind: dict(found) for kind, found in made(spec).items()} == {k: dict(f) for k, f in without.items()}


def test_the_oldest_holds() -> None:
    assert len(manager(made("enableTracing: true", "accessLogFile: ''")).access_log) == 1


def test_envoy_takes_it(tmp_path: Path) -> None:
    everything = (
        "accessLogFile: /dev/stdout, accessLogEncoding: JSON, enableTracing: true, defaultConfig: {tracing: {sampling: 1}, "
        "holdApplicationUntilProxyStarts: true, proxyHeaders: {server: {value: shop}, requestId: {disabled: true}, "
        "attemptCount: {disabled: true}, envoyDebugHeaders: {disabled: true}, xForwardedHost: {enabled: true}, "
        "xForwardedPort: {enabled: true}, preserveHttp1HeaderCase: true}}, "
        "outboundTrafficPolicy: {mode: REGISTRY_ONLY}, connectTimeout: 3s, "
        "tcpKeepalive: {time: 60s}, pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}, "
        "localityLbSetting: {failover: [{from: eu, to: us}]}, protocolDetectionTimeout: 1s, h2UpgradePolicy: UPGRADE, "
        "defaultHttpRetryPolicy: {attempts: 1, retryOn: 5xx}"
    )
    assert_envoy_accepts(made(everything), tmp_path)


@pytest.mark.parametrize("field", REFUSED["MeshConfig"])
def test_every_other_field_is_refused_by_name(field: str) -> None:
    assert field not in MeshConfig.field_names()
    with pytest.raises(ConfigError, match=f"spec.{field}: known to Istio, not implemented yet"):
        load(document(f"{field}: {{}}"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("accessLogEncoding: XML", "spec.accessLogEncoding: must be one of TEXT, JSON"),
        ("connectTimeout: 0s", "spec.connectTimeout: must be at least 1ms"),
        ("defaultConfig: {tracing: {sampling: 101}}", "spec.defaultConfig.tracing.sampling: must be at most 100"),
        ("defaultConfig: {holdApplicationUntilProxyStarts: false}", "an app is always held"),
        ("defaultConfig: {statusPort: 2}", "spec.defaultConfig.statusPort: known to Istio"),
        ("trustDomain: a", "spec.trustDomain: known to Istio, not implemented yet: arrives with zero trust"),
        ("ingressSelector: a", "use a Gateway, whose selector"),
        ("defaultConfig: {tracing: {zipkin: {}}}", "use opentelemetry, and a collector that translates"),
        ("extensionProviders: [{name: a, zipkin: {}}]", "zipkin: known to Istio, not implemented yet: spans go out by"),
        ("extensionProviders: [{name: a}]", "one of envoyFileAccessLog, opentelemetry and prometheus must be set"),
        ("extensionProviders: [{name: a, prometheus: {}}, {name: A, prometheus: {}}]", '"A" is there already'),
        ("extensionProviders: [{name: a, envoyFileAccessLog: {path: log}}]", "path: must begin with /"),
        ("extensionProviders: [{name: a, opentelemetry: {service: /a, port: 1}}]", "must be HOST or NAMESPACE/HOST"),
        ("accessLogEncoding: JSON, accessLogFormat: text", "accessLogFormat: must be a JSON object"),
        ("enablePrometheusMerge: false", "leave it out, or say true"),
        ("accessLogfile: x", 'unknown field; did you mean "accessLogFile"'),
    ],
)
def test_what_is_wrong_is_said(spec: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(document(spec))
