import time

from control_plane.translate import Translator, build
from control_plane.world import Instance, MeshConfig
from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.simulation.worlds import gateway, grpc_client, instance, service, sidecar, transparent, world

REVIEWS = "outbound|9080||reviews.default.svc.cluster.local"
TYPES = [CLUSTER, ENDPOINT, LISTENER, ROUTE]


def test_what_each_kind_of_proxy_gets() -> None:
    where = world(service("reviews"))
    expected: list[tuple[Node, list[str], list[str], list[str]]] = [
        (
            sidecar(),
            [REVIEWS, "BlackHoleCluster", "PassthroughCluster", "inbound|9080||"],
            ["virtualOutbound", "virtualInbound"],
            ["http_proxy"],
        ),
        (
            transparent(),
            [REVIEWS, "BlackHoleCluster", "PassthroughCluster", "InboundPassthroughCluster", "inbound|9080||"],
            ["virtualOutbound", "0.0.0.0_9080", "virtualInbound"],
            ["9080", "http_proxy"],
        ),
        (gateway(), [REVIEWS, "BlackHoleCluster"], [], []),
    ]
    for node, clusters, listeners, routes in expected:
        built = build(where, node)
        assert list(built) == TYPES
        assert [list(built[t]) for t in TYPES] == [clusters, [REVIEWS], listeners, routes]
    built = build(where, grpc_client())
    assert (list(built[CLUSTER]), list(built[ROUTE])) == ([REVIEWS], [REVIEWS])
    assert REVIEWS.rpartition("|")[2] + ":9080" in built[LISTENER]


def test_the_cluster_of_the_collector() -> None:
    for node in (sidecar(), gateway()):
        assert "opentelemetry" in build(world(mesh=MeshConfig(otlp_endpoint="http://a:1")), node)[CLUSTER]
    off = MeshConfig(otlp_endpoint="http://a:1", enable_tracing=False)
    assert "opentelemetry" not in build(world(mesh=off), sidecar())[CLUSTER]


def test_proxies_share_what_is_the_same_for_them() -> None:
    where = world(service("reviews"), instances={"reviews": [instance("10.0.0.1")]})
    made = Translator().build
    one, other = made(where, sidecar("a")), made(where, sidecar("b", address="127.0.1.2"))
    assert one[CLUSTER][REVIEWS] is other[CLUSTER][REVIEWS]
    assert one[ENDPOINT][REVIEWS] is other[ENDPOINT][REVIEWS] is made(where, gateway())[ENDPOINT][REVIEWS]
    assert one[ROUTE]["http_proxy"] is other[ROUTE]["http_proxy"]
    assert one[LISTENER]["virtualInbound"] is not other[LISTENER]["virtualInbound"]


def test_a_thousand_services_take_the_next_proxy_no_time() -> None:
    services = [service(f"s{number}") for number in range(1000)]
    instances = {f"s{number}": [Instance(f"10.0.{number // 250}.{number % 250}", {9080: 80})] for number in range(1000)}
    where = world(*services, instances=instances)
    made = Translator().build
    made(where, sidecar("s0"))
    began = time.process_time()
    made(where, sidecar("s1"))
    assert time.process_time() - began < 0.1  # it takes 1 ms
