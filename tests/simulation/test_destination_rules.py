"""DestinationRules, as they reach the clusters and endpoints of one client."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.translate import build
from control_plane.translate.cluster_policy import HTTP_OPTIONS
from control_plane.world import MeshConfig
from mesh.errors import ConfigError
from mesh.istio.load import load
from mesh.naming import LOCAL_CLUSTER
from mesh.node import Locality, Node
from mesh.xds import CLUSTER, ENDPOINT
from tests.simulation.scenarios import destination_rule
from tests.simulation.worlds import gateway, instance, service, sidecar, transparent, world

REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
OUTLIER = "outlierDetection: {consecutive5xxErrors: 1}"
PLACES = (
    ("10.0.0.1", Locality("eu", "eu-1", "a")),
    ("10.0.0.2", Locality("eu", "eu-1", "b")),
    ("10.0.0.3", Locality("eu", "eu-2", "a")),
    ("10.0.0.4", Locality("us", "us-1", "a")),
    ("10.0.0.5", Locality("ap", "ap-1", "a")),
)
HERE = Locality("eu", "eu-1", "a")


def cluster(spec: str, node: Node | None = None, name: str = REVIEWS) -> Any:
    return build(world(service("reviews"), yaml=destination_rule(spec)), node or sidecar())[CLUSTER][name]


def options(spec: str) -> Any:
    found = HttpProtocolOptions()
    assert cluster(spec).typed_extension_protocol_options[HTTP_OPTIONS].Unpack(found)
    return found.common_http_protocol_options


def priorities(policy: str, node: Node | None = None) -> dict[str, tuple[int, int]]:
    """Address → (priority, weight of its locality), of the endpoints that are left."""
    where = world(
        service("reviews"),
        yaml=destination_rule(f"{{host: reviews, trafficPolicy: {{{policy}}}}}"),
        instances={"reviews": [instance(address, locality=place) for address, place in PLACES]},
    )
    assignment = build(where, node or sidecar(locality=HERE))[ENDPOINT][REVIEWS]
    return {
        endpoint.endpoint.address.socket_address.address: (group.priority, group.load_balancing_weight.value)
        for group in assignment.endpoints
        for endpoint in group.lb_endpoints
    }


def ruled(policy: str) -> str:
    return f"{{host: reviews, trafficPolicy: {{{policy}}}}}"


def levels(policy: str, node: Node | None = None) -> list[int]:
    """The priorities of the five endpoints, nearest first."""
    return [priority for _, (priority, _) in sorted(priorities(policy, node).items())]


# ── which rule holds ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.fault(19)
def test_in_the_root_namespace_a_services_own_rule_comes_first() -> None:
    own = "{host: reviews.default.svc.cluster.local, subsets: [{name: v1, labels: {version: v1}}]}"
    mesh = '{host: "*.local", trafficPolicy: {loadBalancer: {simple: RANDOM}}}'
    rules = destination_rule(own, "own") + "---\n" + destination_rule(mesh, "mesh, namespace: istio-system")
    edge = Node("router", "127.0.1.100", "edge", "istio-system", labels={"istio": "ingressgateway"})
    for node in (edge, sidecar(), sidecar(namespace="other")):
        made = build(world(service("reviews"), service("ratings"), yaml=rules), node)[CLUSTER]
        assert "outbound|9080|v1|reviews.default.svc.cluster.local" in made, node
        assert made[REVIEWS].lb_policy == Cluster.LEAST_REQUEST
        assert made["outbound|9080||ratings.default.svc.cluster.local"].lb_policy == Cluster.RANDOM
    elsewhere = MeshConfig(root_namespace="other")
    made = build(world(service("reviews"), yaml=rules, mesh=elsewhere), edge)[CLUSTER]
    assert made[REVIEWS].lb_policy == Cluster.RANDOM  # a namespace like any other: its own rule comes first


# ── places ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.fault(21)
def test_with_outlier_detection_the_nearest_come_first() -> None:
    assert levels(OUTLIER) == [0, 1, 2, 3, 3]
    assert levels(OUTLIER, sidecar(locality=Locality("us", "us-9"))) == [1, 1, 1, 0, 1]
    assert levels(OUTLIER, gateway()) == [0] * 5  # nothing is known of its place
    assert levels("loadBalancer: {simple: RANDOM}") == [0] * 5  # nobody finds out who is down


def test_fail_over_may_be_told_or_switched_off() -> None:
    def setting(text: str) -> str:
        return f"{OUTLIER}, loadBalancer: {{localityLbSetting: {{{text}}}}}"

    assert levels(setting("enabled: false")) == [0] * 5
    assert levels(setting("failover: [{from: eu, to: ap}]")) == [0, 1, 2, 4, 3]
    assert levels(setting("failover: [{from: us, to: ap}]")) == [0, 1, 2, 3, 3]
    zone = "topology.kubernetes.io/zone"
    assert levels(setting(f'failoverPriority: ["version=v1", "{zone}"]')) == [0, 0, 1, 1, 1]
    assert levels(setting('failoverPriority: ["version=v7"]')) == [0] * 5  # alike in not having it
    client = sidecar(locality=HERE, labels={"version": "v2"})
    assert levels(setting("failoverPriority: [version]"), client) == [0] * 5  # alike in not being alike


def test_fail_over_by_labels() -> None:
    policy = f"{OUTLIER}, loadBalancer: {{localityLbSetting: {{failoverPriority: [version, app]}}}}"
    instances = [instance("10.0.0.1", "v2"), instance("10.0.0.2", "v1"), instance("10.0.0.3", "v1", app="other")]
    where = world(
        service("reviews"),
        yaml=destination_rule(f"{{host: reviews, trafficPolicy: {{{policy}}}}}"),
        instances={"reviews": instances},
    )
    assignment = build(where, sidecar(labels={"version": "v1", "app": "reviews"}))[ENDPOINT][REVIEWS]
    found = {
        e.endpoint.address.socket_address.address: g.priority for g in assignment.endpoints for e in g.lb_endpoints
    }
    assert found == {"10.0.0.2": 0, "10.0.0.3": 1, "10.0.0.1": 2}


def test_shares_of_places() -> None:
    rule = "distribute: [{from: eu/eu-1/*, to: {eu/eu-1/*: 80, us: 20}}, {from: '*', to: {ap: 100}}]"
    policy = f"loadBalancer: {{localityLbSetting: {{{rule}}}}}"
    assert priorities(policy) == {"10.0.0.1": (0, 40), "10.0.0.2": (0, 40), "10.0.0.4": (0, 20)}
    assert set(priorities(policy, sidecar(locality=Locality("us", "us-1")))) == {"10.0.0.5"}
    made = cluster(f"{{host: reviews, trafficPolicy: {{{policy}}}}}")
    assert made.common_lb_config.HasField("locality_weighted_lb_config")
    assert not cluster("{host: reviews}").common_lb_config.HasField("locality_weighted_lb_config")


# ── balancing and pools ───────────────────────────────────────────────────────────────────────────────────────────────


def test_warmup() -> None:
    made = cluster("{host: reviews, trafficPolicy: {loadBalancer: {warmupDurationSecs: 30s}}}")
    slow = made.least_request_lb_config.slow_start_config
    assert (slow.slow_start_window.seconds, slow.min_weight_percent.value, slow.aggression.default_value) == (30, 10, 1)
    told = "warmup: {duration: 2s, minimumPercent: 0, aggression: 2.5}"
    made = cluster(f"{{host: reviews, trafficPolicy: {{loadBalancer: {{simple: ROUND_ROBIN, {told}}}}}}}")
    slow = made.round_robin_lb_config.slow_start_config
    assert (slow.slow_start_window.seconds, slow.min_weight_percent.value, slow.aggression.default_value) == (2, 0, 2.5)


def test_passthrough_is_for_those_who_dial_addresses() -> None:
    spec = "{host: reviews, trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}}"
    captured = cluster(spec, transparent())
    assert (captured.type, captured.lb_policy) == (Cluster.ORIGINAL_DST, Cluster.CLUSTER_PROVIDED)
    assert (cluster(spec).type, cluster(spec).lb_policy) == (Cluster.EDS, Cluster.LEAST_REQUEST)


def test_tcp_settings() -> None:
    pool = "connectionPool: {tcp: {tcpKeepalive: {probes: 3, time: 7200s, interval: 75s}, idleTimeout: 5s, %s}}"
    spec = "{host: reviews, trafficPolicy: {" + pool % "maxConnectionDuration: 60s" + "}}"
    keepalive = cluster(spec).upstream_connection_options.tcp_keepalive
    assert (keepalive.keepalive_probes.value, keepalive.keepalive_time.value) == (3, 7200)
    assert keepalive.keepalive_interval.value == 75
    assert (options(spec).idle_timeout.seconds, options(spec).max_connection_duration.seconds) == (5, 60)
    both = "{host: reviews, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 5s}, http: {idleTimeout: 9s}}}}"
    assert options(both).idle_timeout.seconds == 9


def test_retry_budget() -> None:
    def budget(text: str) -> tuple[float, int]:
        limits = cluster(f"{{host: reviews, trafficPolicy: {{retryBudget: {text}}}}}").circuit_breakers.thresholds[0]
        return limits.retry_budget.budget_percent.value, limits.retry_budget.min_retry_concurrency.value

    assert budget("{}") == (20, 3)
    assert budget("{percent: 50, minRetryConcurrency: 7}") == (50, 7)


def test_zones_are_left_to_proxies_that_know_their_neighbours() -> None:
    def policy(text: str) -> str:
        return f"loadBalancer: {{zoneAwareLbSetting: {{{text}}}}}"

    assert levels(policy("")) == [0, 0, 0, 1, 1]  # of the endpoints only those of other regions come later
    assert levels(policy("enabled: false")) == [0, 0, 0, 0, 0]
    assert levels(policy("failover: [{from: eu, to: us}]")) == [0, 0, 0, 1, 2]
    config = cluster(ruled(policy("minClusterSize: 2"))).common_lb_config
    assert config.zone_aware_lb_config.min_cluster_size.value == 2
    off = cluster(ruled(policy("enabled: false"))).common_lb_config.zone_aware_lb_config
    assert off.HasField("routing_enabled") and off.routing_enabled.value == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("zoneAwareLbSetting: {}, localityLbSetting: {}", "exclude each other"),
        ("zoneAwareLbSetting: {failoverPriority: [topology.kubernetes.io/zone]}", "is a place"),
        ("zoneAwareLbSetting: {minClusterSize: 0}", "must be at least 1"),
        ("zoneAwareLbSetting: {failover: [{from: a, to: a}]}", "cannot take over from itself"),
    ],
)
def test_settings_of_zones_that_cannot_be(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(destination_rule(ruled(f"loadBalancer: {{{setting}}}")))


@pytest.mark.parametrize(("region", "found"), [("eu", ["10.0.0.1"]), ("us", ["10.0.0.4"])])
def test_a_proxy_that_asks_for_it_is_told_of_its_neighbours(region: str, found: list[str]) -> None:
    where = world(service("reviews"), instances={"reviews": [
        instance("10.0.0.1", locality=Locality("eu", "a")), instance("10.0.0.4", locality=Locality("us", "a")),
    ]})  # fmt: skip
    node = sidecar("reviews", locality=Locality(region, "a"))
    assert LOCAL_CLUSTER not in build(where, node)[ENDPOINT]
    told = build(where, replace(node, self_discovery=True))[ENDPOINT][LOCAL_CLUSTER]
    assert [e.endpoint.address.socket_address.address for g in told.endpoints for e in g.lb_endpoints] == found
    stranger = replace(sidecar("nobody"), self_discovery=True)
    assert not build(where, stranger)[ENDPOINT][LOCAL_CLUSTER].endpoints
