"""Services and endpoints: declared, and made by the workloads that connect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from control_plane.registry.services import discover
from control_plane.registry.workload import Workload
from control_plane.world import Instance, Resolution, Service
from mesh.istio.resource import Resource
from mesh.node import GENERATOR_GRPC, INTERCEPT_REDIRECT, ROUTER, Locality, Node, ServicePort
from tests.unit.control_plane.samples import resources

REVIEWS = "reviews.default.svc.cluster.local"


def node(name: str = "reviews-1", address: str = "127.0.1.2", **other: Any) -> Node:
    settings = {"service": "reviews", "labels": {"app": "reviews", "version": "v1"}, "ports": (ServicePort(9080),)}
    return Node("sidecar", address, name, **{**settings, **other})


def service(ports: list[dict[str, Any]], name: str = "reviews", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


def service_entry(name: str = "external", **spec: Any) -> dict[str, Any]:
    ports = [{"number": 80, "name": "http", "protocol": "HTTP"}]
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": name},
        "spec": {"hosts": ["api.example.com"], "ports": ports, **spec},
    }


def workload_entry(name: str, address: str, labels: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"name": name},
        "spec": {"address": address, "labels": labels, **spec},
    }


def found(documents: list[dict[str, Any]], *nodes: Node) -> tuple[dict[str, Service], dict[str, tuple[Instance, ...]]]:
    by_kind: dict[str, list[Resource]] = {}
    for resource in resources(*documents):
        by_kind.setdefault(resource.key.kind, []).append(resource)
    return discover({kind: tuple(rows) for kind, rows in by_kind.items()}, [Workload(n) for n in nodes])


def reached(instances: tuple[Instance, ...]) -> list[tuple[str, dict[int, int]]]:
    return [(instance.address, dict(instance.ports)) for instance in instances]


def test_a_workload_makes_the_service_that_it_names() -> None:
    services, instances = found([], node(), node("reviews-2", "127.0.1.3"))
    assert services == {REVIEWS: Service(REVIEWS, "reviews", "default", (ServicePort(9080),))}
    assert reached(instances[REVIEWS]) == [("127.0.1.2", {9080: 15006}), ("127.0.1.3", {9080: 15006})]
    first = instances[REVIEWS][0]
    assert (first.workload, first.labels["version"], first.meshed, first.node_id) == (
        "reviews-1",
        "v1",
        True,
        node().id,
    )


def test_without_interception_each_port_has_one_of_the_proxy() -> None:
    ports = (ServicePort(80, target=8080), ServicePort(9090))
    _, instances = found([], node(ports=ports, inbound_port=25006))
    assert reached(instances[REVIEWS]) == [("127.0.1.2", {80: 25006, 9090: 25106})]


def test_with_interception_the_ports_are_those_of_the_app() -> None:
    _, instances = found([], node(ports=(ServicePort(80, target=8080),), interception=INTERCEPT_REDIRECT))
    assert reached(instances[REVIEWS]) == [("127.0.1.2", {80: 8080})]


def test_gateways_and_proxyless_servers_answer_themselves() -> None:
    gateway = replace(node("gateway", "127.0.1.9", service="ingress"), kind=ROUTER)
    _, instances = found([], gateway, node(generator=GENERATOR_GRPC))
    assert reached(instances["ingress.default.svc.cluster.local"]) == [("127.0.1.9", {9080: 9080})]
    (proxyless,) = instances[REVIEWS]
    assert (proxyless.ports, proxyless.meshed) == ({9080: 9080}, False)


def test_an_unhealthy_workload_is_known_as_such() -> None:
    services, instances = discover({}, [Workload(node(), healthy=False)])
    assert REVIEWS in services
    assert [instance.healthy for instance in instances[REVIEWS]] == [False]


def test_ports_of_all_workloads_and_of_two_that_disagree_the_first() -> None:
    services, _ = found(
        [],
        node("a", "127.0.1.1", ports=(ServicePort(80, "http"),)),
        node("b", "127.0.1.2", ports=(ServicePort(80, "tcp", "TCP"), ServicePort(81))),
    )
    assert services[REVIEWS].ports == (ServicePort(80, "http"), ServicePort(81))


def test_a_client_makes_no_service() -> None:
    assert found([], node(service="", ports=())) == ({}, {})


def test_a_declared_service_picks_by_label_in_its_namespace() -> None:
    declared = service([{"port": 80, "name": "http", "targetPort": 9080}], selector={"app": "reviews"})
    others = node("other", "127.0.1.5", labels={"app": "other"}), node("far", "127.0.1.6", namespace="far")
    services, instances = found([declared], node(service="whatever"), *others)
    assert services[REVIEWS].ports == (ServicePort(80, "http", "HTTP", 9080),)
    assert services[REVIEWS].selector == {"app": "reviews"}
    assert reached(instances[REVIEWS]) == [("127.0.1.2", {80: 15006})]


def test_a_declared_service_without_selector_takes_those_that_name_it() -> None:
    declared = service([{"port": 80, "targetPort": 9080}, {"port": 81, "name": "x"}][:1])
    services, instances = found([declared], node())
    assert services[REVIEWS].ports == (ServicePort(80, "", "", 9080),)
    assert reached(instances[REVIEWS]) == [("127.0.1.2", {80: 15006})]


def test_a_target_port_by_name_or_number_or_as_the_workload_said() -> None:
    ports = (ServicePort(80, "http-web", target=8080), ServicePort(90, "http-admin", target=9090))
    by_name = service([{"port": 1, "targetPort": "http-admin"}], selector={"app": "reviews"})
    assert reached(found([by_name], node(ports=ports))[1][REVIEWS]) == [("127.0.1.2", {1: 15106})]
    by_number = service([{"port": 1, "targetPort": 8080}], selector={"app": "reviews"})
    assert reached(found([by_number], node(ports=ports))[1][REVIEWS]) == [("127.0.1.2", {1: 15006})]
    as_said = service([{"port": 90}], selector={"app": "reviews"})
    assert reached(found([as_said], node(ports=ports))[1][REVIEWS]) == [("127.0.1.2", {90: 15106})]


def test_a_port_that_the_workload_does_not_tell_of() -> None:
    unknown = service([{"port": 1, "targetPort": 7777}], selector={"app": "reviews"})
    assert found([unknown], node())[1] == {REVIEWS: ()}  # its proxy opens no port for it
    redirected = node(interception=INTERCEPT_REDIRECT)
    assert reached(found([unknown], redirected)[1][REVIEWS]) == [("127.0.1.2", {1: 7777})]


def test_protocols_of_a_declared_service() -> None:
    rows = [
        {"port": 1, "name": "http"},
        {"port": 2, "name": "http2-x"},
        {"port": 3, "name": "grpc-x"},
        {"port": 4, "name": "grpc-web"},
        {"port": 5, "name": "tcp-x"},
        {"port": 6, "name": "mongo"},
        {"port": 7, "name": "web"},
        {"port": 8, "name": "web-8", "appProtocol": "kubernetes.io/h2c"},
        {"port": 3306, "name": "db"},
        {"port": 9, "name": "httpx", "appProtocol": "example.com/mine"},
    ]
    services, _ = found([service(rows)])
    assert [port.protocol for port in services[REVIEWS].ports] == [
        "HTTP",
        "HTTP2",
        "GRPC",
        "GRPC-WEB",
        "TCP",
        "TCP",
        "",
        "HTTP2",
        "TCP",
        "",
    ]


def test_virtual_addresses_of_services() -> None:
    services, _ = found([service([{"port": 80}], clusterIP="10.0.0.1"), service([{"port": 80}], "x", clusterIP="None")])
    assert services[REVIEWS].addresses == ("10.0.0.1",)
    assert services["x.default.svc.cluster.local"].addresses == ()


def test_a_static_service_entry_has_its_endpoints() -> None:
    entry = service_entry(
        resolution="STATIC",
        location="MESH_INTERNAL",
        endpoints=[
            {"address": "10.0.0.1", "ports": {"http": 8080}, "labels": {"version": "v1"}, "weight": 3},
            {"address": "10.0.0.2", "locality": "eu/a/b"},
        ],
    )
    services, instances = found([entry])
    assert services["api.example.com"].resolution is Resolution.REGISTRY
    assert not services["api.example.com"].external
    one, two = instances["api.example.com"]
    assert (one.ports, one.labels, one.weight, one.meshed) == ({80: 8080}, {"version": "v1"}, 3, False)
    assert (two.ports, two.weight, two.locality) == ({80: 80}, 1, Locality("eu", "a", "b"))


def test_service_entries_that_are_looked_up() -> None:
    services, instances = found([service_entry(resolution="DNS", hosts=["API.example.com"])])
    service = services["api.example.com"]
    assert (service.resolution, service.external) == (Resolution.DNS, True)
    assert reached(service.endpoints) == [("api.example.com", {80: 80})]
    given = service_entry(resolution="DNS", endpoints=[{"address": "us.example.com", "ports": {"http": 8080}}])
    services, _ = found([given])
    assert reached(services["api.example.com"].endpoints) == [("us.example.com", {80: 8080})]
    assert instances == {}


def test_a_service_entry_without_resolution_has_no_endpoints() -> None:
    services, instances = found([service_entry(addresses=["10.1.0.0/16"])])
    assert services["api.example.com"].resolution is Resolution.NONE
    assert services["api.example.com"].addresses == ("10.1.0.0/16",)
    assert instances == {}


def test_a_service_entry_selects_workloads_of_both_sorts() -> None:
    entry = service_entry(
        resolution="STATIC",
        hosts=["a.example.com", "b.example.com"],
        ports=[{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 9080}],
        workloadSelector={"labels": {"app": "reviews"}},
    )
    vm = workload_entry("vm", "10.0.0.9", {"app": "reviews"}, ports={"http": 8081})
    other = workload_entry("other", "10.0.0.8", {"app": "x"})
    _, instances = found([entry, vm, other], node())
    for host in ("a.example.com", "b.example.com"):
        assert reached(instances[host]) == [("127.0.1.2", {80: 15006}), ("10.0.0.9", {80: 8081})]


def test_a_kubernetes_service_selects_workload_entries() -> None:
    declared = service([{"port": 80, "name": "http", "targetPort": 8080}], selector={"app": "reviews"})
    _, instances = found([declared, workload_entry("vm", "10.0.0.9", {"app": "reviews"})])
    assert reached(instances[REVIEWS]) == [("10.0.0.9", {80: 8080})]


def test_labels_of_a_workload_entry_may_be_in_its_metadata() -> None:
    declared = service([{"port": 80}], selector={"app": "reviews"})
    vm = workload_entry("vm", "10.0.0.9", {})
    vm["metadata"]["labels"] = {"app": "reviews"}
    _, instances = found([declared, vm])
    assert instances[REVIEWS][0].labels == {"app": "reviews"}


def test_the_kubernetes_service_of_a_host_comes_before_a_service_entry() -> None:
    entry = service_entry(
        hosts=[REVIEWS],
        resolution="STATIC",
        ports=[{"number": 80, "name": "x", "protocol": "TCP"}, {"number": 7, "name": "y", "protocol": "TCP"}],
        endpoints=[{"address": "10.0.0.1"}],
    )
    services, instances = found([entry, service([{"port": 80, "name": "http", "targetPort": 9080}])], node())
    assert [port.protocol for port in services[REVIEWS].ports] == ["HTTP"]
    # Endpoints of both, as in Istio: the workloads that name it, and those that are declared.
    assert [instance.address for instance in instances[REVIEWS]] == ["127.0.1.2", "10.0.0.1"]


def test_one_endpoint_that_is_declared_and_registered_is_one() -> None:
    declared = service([{"port": 9080}], selector={"app": "reviews"})
    vm = workload_entry("vm", "127.0.1.2", {"app": "reviews"})
    _, instances = found([declared, vm], node(interception=INTERCEPT_REDIRECT))
    (instance,) = instances[REVIEWS]
    assert instance.node_id == node().id
