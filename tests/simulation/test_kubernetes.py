"""Kubernetes' own kinds: Services with what they ask for, and what workloads and slices tell of them."""

from __future__ import annotations

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from control_plane.translate import build
from mesh.istio.kinds import KINDS
from mesh.istio.load import load
from mesh.node import Locality
from mesh.xds import CLUSTER, ENDPOINT, ROUTE
from tests.simulation.evaluator import Call, evaluate
from tests.simulation.test_service_entries import addresses, declared, entry, made
from tests.simulation.worlds import sidecar

WEB = "outbound|80||web.default.svc.cluster.local"


def service(spec: str, name: str = "web") -> str:
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


def slice_of(service: str, rest: str) -> str:
    labels = f"labels: {{kubernetes.io/service-name: {service}}}"
    head = f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {service}-1, {labels}}}\n"
    return f"{head}addressType: IPv4\n{rest}"


def test_an_external_name_is_looked_up() -> None:
    built = made(service("type: ExternalName, externalName: web.example.com, ports: [{port: 80, name: http}]"))
    cluster = built[CLUSTER][WEB]
    assert (cluster.type, addresses(cluster.load_assignment)) == (Cluster.STRICT_DNS, [("web.example.com", 80)])


def test_slices_are_the_endpoints_of_a_service_without_selector() -> None:
    ports = "ports: [{name: http, port: 8080}, {name: other, port: 9}]\n"
    rest = "endpoints: [{addresses: [10.0.0.1], zone: b}, {addresses: [10.0.0.2], conditions: {ready: false}}]\n"
    built = made(service("ports: [{port: 80, name: http}]"), slice_of("web", ports + rest))
    groups = built[ENDPOINT][WEB].endpoints
    assert addresses(built[ENDPOINT][WEB]) == [("10.0.0.2", 8080), ("10.0.0.1", 8080)]
    assert [(group.locality.zone, group.lb_endpoints[0].health_status) for group in groups] == [("", 2), ("b", 0)]
    unnamed = "endpoints: [{addresses: [10.0.0.3]}]\nports: [{port: 81}]\n"
    built = made(service("ports: [{port: 80}]"), slice_of("web", unnamed))
    assert addresses(built[ENDPOINT][WEB]) == [("10.0.0.3", 81)]


def test_endpoints_are_those_of_the_service_of_their_name() -> None:
    subsets = "subsets: [{addresses: [{ip: 10.0.0.1}], notReadyAddresses: [{ip: 10.0.0.2}], ports: [{port: 8080}]}]\n"
    ends = f"apiVersion: v1\nkind: Endpoints\nmetadata: {{name: web}}\n{subsets}"
    ports = "ports: [{port: 80, name: http}]"
    for spec, second in ((ports, 2), (f"{ports}, publishNotReadyAddresses: true", 0)):
        (group,) = made(service(spec), ends)[ENDPOINT][WEB].endpoints
        found = [(each.endpoint.address.socket_address.address, each.health_status) for each in group.lb_endpoints]
        assert found == [("10.0.0.1", 0), ("10.0.0.2", second)]
    assert WEB not in made(service(ports, "other"), ends)[ENDPOINT]


def test_what_only_kubernetes_does_changes_nothing() -> None:
    plain = "ports: [{port: 80, name: http}], sessionAffinity: ClientIP"
    more = (
        "externalIPs: [192.0.2.1], externalTrafficPolicy: Local, healthCheckNodePort: 30000, loadBalancerClass: x, "
        "sessionAffinityConfig: {clientIP: {timeoutSeconds: 600}}"
    )
    assert made(service(plain)) == made(service(f"{plain}, {more}"))


def test_a_named_target_port_is_the_number_that_a_container_gives_it() -> None:
    deployment = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: x, ports: [{containerPort: 8081, name: main}], resources: {limits: {cpu: 1}}}]}
"""
    workload = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: w}\n"
    workload += "spec: {address: 10.0.0.9, labels: {app: web}}\n"
    web = service("selector: {app: web}, ports: [{port: 80, name: http, targetPort: main}]")
    world = declared(web, deployment, workload)
    assert world.services["web.default.svc.cluster.local"].ports[0].app_port == 8081
    assert addresses(build(world, sidecar())[ENDPOINT][WEB]) == [("10.0.0.9", 8081)]


def test_session_affinity_hashes_the_clients_address() -> None:
    built = made(service("ports: [{port: 80, name: http}], sessionAffinity: ClientIP"))
    assert built[CLUSTER][WEB].lb_policy == Cluster.RING_HASH
    found = evaluate(built[ROUTE]["http_proxy"], Call("http://web/"))
    assert found is not None and found.route.route.hash_policy[0].connection_properties.source_ip
    rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\n"
    rule += "spec: {host: web, trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n"
    built = made(service("ports: [{port: 80, name: http}], sessionAffinity: ClientIP"), rule)
    assert built[CLUSTER][WEB].lb_policy == Cluster.RANDOM


def test_traffic_distribution_prefers_what_is_near() -> None:
    ends = "[{address: 10.0.0.1, locality: eu/a}, {address: 10.0.0.2, locality: eu/b}, {address: 10.0.0.3, locality: us/a}]"
    near = service("ports: [{port: 80, name: http}], trafficDistribution: PreferClose")
    hosts = "hosts: [web.default.svc.cluster.local], ports: [{number: 80, name: http, protocol: HTTP}]"
    world = declared(near, entry(f"{{{hosts}, resolution: STATIC, endpoints: {ends}}}"))
    client = sidecar(locality=Locality("eu", "a"))
    groups = build(world, client)[ENDPOINT][WEB].endpoints
    assert {(g.locality.region, g.locality.zone): g.priority for g in groups} == {
        ("eu", "a"): 0,
        ("eu", "b"): 1,
        ("us", "a"): 2,
    }


def test_what_is_read_and_not_run() -> None:
    text = """
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
spec: {finalizers: [kubernetes]}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: web}
automountServiceAccountToken: false
imagePullSecrets: [{name: x}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {a.conf: "x=1"}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
type: kubernetes.io/tls
stringData: {tls.key: hidden}
data: {tls.crt: aGlkZGVu}
"""
    found = {resource.key.kind: resource.document for resource in load(text)}
    assert all(KINDS[kind].note == "read, not run" for kind in found)
    assert found["ConfigMap"]["data"] == {"a.conf": "x=1"}
    assert "hidden" not in str(found) and "aGlkZGVu" not in str(found)
    assert found["Secret"]["type"] == "kubernetes.io/tls"
