from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster

from control_plane.resource import messages_of
from control_plane.translate.clusters import outbound_clusters, outbound_endpoints, special, static_cluster
from control_plane.translate.index import Index
from control_plane.translate.viewer import Audience, Viewer
from control_plane.world import Instance, Resolution, Service, World
from mesh.istio.circuit_breaker import ANNOTATION
from mesh.istio.load import load_documents
from mesh.node import Locality, ServicePort
from sidecar.config.clusters import compile_cluster
from sidecar.config.model import CircuitBreaker
from tests.simulation.scenarios import destination_rule
from tests.simulation.worlds import instance, service, world

SUBSETS = destination_rule("{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
WHOLE = "outbound|9080||reviews.default.svc.cluster.local"
V1 = "outbound|9080|v1|reviews.default.svc.cluster.local"


class Outbound(NamedTuple):
    clusters: Mapping[str, Any]
    endpoints: Mapping[str, Any]


def outbound(index: Index, viewer: Viewer) -> Outbound:
    return Outbound(outbound_clusters(index, viewer), outbound_endpoints(index, viewer))


def translated(of: World, audience: Audience = Audience.EXPLICIT, namespace: str = "default") -> Outbound:
    return Outbound(*map(messages_of, outbound(Index(of), Viewer(namespace, audience))))


def external(resolution: Resolution, host: str = "api.example.com", *endpoints: Instance) -> Service:
    return Service(host, host, "default", (ServicePort(80),), resolution, endpoints=endpoints)


def kind(resolution: Resolution, audience: Audience, host: str = "api.example.com", *endpoints: Instance) -> Any:
    """The discovery type of a ServiceEntry's cluster, None when there is no cluster."""
    found = translated(world(external(resolution, host, *endpoints)), audience).clusters
    return next((Cluster.DiscoveryType.Name(cluster.type) for cluster in found.values()), None)


def names(cluster: Any) -> list[str]:
    return [
        endpoint.endpoint.address.socket_address.address
        for locality in cluster.load_assignment.endpoints
        for endpoint in locality.lb_endpoints
    ]


def test_every_port_and_every_subset_is_a_cluster_with_an_assignment() -> None:
    found = translated(world(service("reviews"), yaml=SUBSETS, instances={"reviews": [instance("10.0.0.1", "v2")]}))
    assert list(found.clusters) == list(found.endpoints) == [WHOLE, V1]
    assert [len(found.endpoints[name].endpoints) for name in (WHOLE, V1)] == [1, 0]
    config = found.clusters[V1].eds_cluster_config
    assert config.service_name == V1 and config.eds_config.HasField("ads")


def test_a_three_state_breaker_is_metadata_of_the_host_and_its_subsets() -> None:
    (rule,) = load_documents(
        [
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "DestinationRule",
                "metadata": {"name": "a", "annotations": {ANNOTATION: "{failureRate: 50, window: 10s}"}},
                "spec": {"host": "reviews", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]},
            }
        ]
    )
    found = translated(replace(world(service("reviews")), resources={"DestinationRule": (rule,)}))
    for name in (WHOLE, V1):
        values = found.clusters[name].metadata.filter_metadata["mesh.circuit_breaker"]
        assert dict(values) == {"failure_rate": 50.0, "window": 10.0}
        assert compile_cluster(found.clusters[name]).circuit_breaker == CircuitBreaker(failure_rate=50, window=10)
    bare = translated(world(service("reviews"), yaml=SUBSETS)).clusters[WHOLE]
    assert "mesh.circuit_breaker" not in bare.metadata.filter_metadata


def test_metadata_says_what_a_cluster_is_for() -> None:
    found = translated(world(service("reviews"), yaml=SUBSETS))
    values = found.clusters[V1].metadata.filter_metadata["istio"]
    (of,) = values["services"]
    expected = {"host": "reviews.default.svc.cluster.local", "name": "reviews", "namespace": "default"}
    assert dict(of) == expected
    assert (values["default_original_port"], values["subset"]) == (9080, "v1")
    assert values["config"] == "/apis/networking.istio.io/v1/namespaces/default/destination-rule/policy"
    bare = translated(world(service("reviews"))).clusters[WHOLE].metadata.filter_metadata["istio"]
    assert "config" not in bare and "subset" not in bare


def test_policies_reach_their_clusters() -> None:
    text = destination_rule("""
  host: reviews
  trafficPolicy:
    loadBalancer: {simple: RANDOM}
    portLevelSettings: [{port: {number: 81}, loadBalancer: {simple: ROUND_ROBIN}}]
  subsets: [{name: v1, trafficPolicy: {loadBalancer: {simple: LEAST_REQUEST}}}]
""")
    found = translated(world(service("reviews", 80, 81), yaml=text)).clusters
    policies = {tuple(name.split("|")[1:3]): Cluster.LbPolicy.Name(c.lb_policy) for name, c in found.items()}
    assert policies == {
        ("80", ""): "RANDOM",
        ("80", "v1"): "LEAST_REQUEST",
        ("81", ""): "ROUND_ROBIN",
        ("81", "v1"): "LEAST_REQUEST",
    }


def test_clients_of_one_kind_in_one_namespace_share_everything() -> None:
    index = Index(world(service("reviews"), instances={"reviews": [instance("10.0.0.1")]}))
    one = outbound(index, Viewer("a", Audience.EXPLICIT, (("x", "y"),)))
    same = outbound(index, Viewer("a", Audience.EXPLICIT))
    assert (same.clusters is one.clusters, same.endpoints is one.endpoints) == (True, True)
    other = outbound(index, Viewer("b", Audience.TRANSPARENT))
    assert other.clusters is not one.clusters
    assert other.endpoints[WHOLE] is one.endpoints[WHOLE]


@pytest.mark.parametrize(
    ("resolution", "audience", "expected"),
    [
        (Resolution.REGISTRY, Audience.EXPLICIT, "EDS"),
        (Resolution.REGISTRY, Audience.GRPC, "EDS"),
        (Resolution.DNS, Audience.EXPLICIT, "STRICT_DNS"),
        (Resolution.DNS, Audience.GRPC, "LOGICAL_DNS"),
        (Resolution.DNS_ROUND_ROBIN, Audience.GATEWAY, "LOGICAL_DNS"),
        (Resolution.NONE, Audience.TRANSPARENT, "ORIGINAL_DST"),
        (Resolution.NONE, Audience.EXPLICIT, "STRICT_DNS"),
        (Resolution.NONE, Audience.GATEWAY, "STRICT_DNS"),
    ],
)
def test_discovery(resolution: Resolution, audience: Audience, expected: str) -> None:
    assert kind(resolution, audience) == expected


def test_what_nobody_could_look_up_is_no_cluster() -> None:
    assert kind(Resolution.NONE, Audience.EXPLICIT, "*.example.com") is None
    assert kind(Resolution.NONE, Audience.TRANSPARENT, "*.example.com") == "ORIGINAL_DST"
    two = (Instance("a.example", {80: 80}), Instance("b.example", {80: 80}))
    assert kind(Resolution.DNS, Audience.GRPC, "x.example", *two) is None


def test_names_that_are_looked_up() -> None:
    two = (Instance("a.example", {80: 8080}), Instance("b.example", {80: 80}))
    by_dns = external(Resolution.DNS, "x.example", *two)
    round_robin = external(Resolution.DNS_ROUND_ROBIN, "y.example", *two)
    own = external(Resolution.DNS, "z.example")
    found = list(translated(world(by_dns, round_robin, own)).clusters.values())
    assert [names(cluster) for cluster in found] == [["a.example", "b.example"], ["a.example"], ["z.example"]]
    assert found[0].dns_lookup_family == Cluster.V4_PREFERRED
    assert (found[0].dns_refresh_rate.seconds, found[0].respect_dns_ttl) == (60, True)


@pytest.mark.parametrize("audience", [Audience.EXPLICIT, Audience.GATEWAY, Audience.GRPC])
@pytest.mark.parametrize("setting", ["distribute: [{from: eu, to: {us: 100}}]", "failoverPriority: [region]"])
def test_the_one_name_of_a_cluster_stays_whatever_is_preferred(setting: str, audience: Audience) -> None:
    """Without it the cluster is refused, and with it all else that a proxy is sent at that time."""
    text = destination_rule(
        "{host: api.example.com, trafficPolicy: {outlierDetection: {interval: 1s}, "
        f"loadBalancer: {{localityLbSetting: {{{setting}}}}}}}}}"
    )
    service = external(Resolution.DNS_ROUND_ROBIN)
    viewer = Viewer("default", audience, locality=Locality("eu"))
    (cluster,) = messages_of(outbound_clusters(Index(world(service, yaml=text)), viewer)).values()
    assert names(cluster) == ["api.example.com"]
    assert len(cluster.load_assignment.endpoints) == 1


def test_clusters_for_what_is_no_services() -> None:
    index = Index(world())
    for audience, expected in (
        (Audience.EXPLICIT, ["BlackHoleCluster", "PassthroughCluster"]),
        (Audience.TRANSPARENT, ["BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster"]),
        (Audience.GATEWAY, ["BlackHoleCluster"]),
        (Audience.GRPC, []),
    ):
        assert list(special(index, Viewer("a", audience))) == expected
    clusters = special(index, Viewer("a", Audience.TRANSPARENT))
    assert not names(clusters["BlackHoleCluster"])
    assert clusters["PassthroughCluster"].type == Cluster.ORIGINAL_DST


def test_a_static_cluster_has_one_endpoint() -> None:
    assert names(static_cluster("x", "127.0.0.1", 80)) == ["127.0.0.1"]
