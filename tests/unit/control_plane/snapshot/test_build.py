from __future__ import annotations

import gc
from typing import Any
from weakref import WeakValueDictionary

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.any_pb2 import Any as AnyMessage
from hypothesis import given
from hypothesis import strategies as st

from control_plane.resource import versioned
from control_plane.snapshot.build import Interned, Snapshot, Snapshots, differences, set_version
from control_plane.world import World
from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, any_of

NODE = Node("sidecar", "127.0.0.1", "a")


def of(built: dict[str, dict[str, Any]]) -> Snapshot:
    return Snapshots(lambda world, node: built, World()).of(NODE)


def test_a_cluster_without_an_assignment_gets_an_empty_one() -> None:
    snapshot = of({CLUSTER: {"one": Cluster(name="one", type="EDS")}})
    packed = AnyMessage.FromString(snapshot.of(ENDPOINT)["one"].packed)
    assert packed == any_of(ClusterLoadAssignment(cluster_name="one"))


def test_a_listener_without_its_routes_gets_empty_ones() -> None:
    manager = HttpConnectionManager(stat_prefix="x")
    manager.rds.route_config_name = "web"
    listener = Listener(name="in")
    listener.filter_chains.add().filters.add().typed_config.CopyFrom(any_of(manager))
    snapshot = of({LISTENER: {"in": listener}, ROUTE: {}})
    packed = AnyMessage.FromString(snapshot.of(ROUTE)["web"].packed)
    assert packed == any_of(RouteConfiguration(name="web"))


def test_what_is_there_is_not_replaced() -> None:
    assignment = ClusterLoadAssignment(cluster_name="one", policy={"weighted_priority_health": True})
    snapshot = of({CLUSTER: {"one": Cluster(name="one", type="EDS")}, ENDPOINT: {"one": assignment}})
    assert AnyMessage.FromString(snapshot.of(ENDPOINT)["one"].packed) == any_of(assignment)


def test_a_message_for_many_proxies_is_serialised_once() -> None:
    class Counting:
        times = 0

        def SerializeToString(self, deterministic: bool) -> bytes:  # noqa: N802
            self.times += 1
            return b"content"

    message = Counting()
    snapshots = Snapshots(lambda world, node: {SECRET: {"r": message}}, World())
    one, second, third = (snapshots.of(Node("sidecar", f"127.0.0.{n}", f"{n}")) for n in range(3))
    assert message.times == 1
    assert one.of(SECRET)["r"] is second.of(SECRET)["r"]
    assert second.of(SECRET) is third.of(SECRET)


def test_what_was_made_for_proxies_that_come_and_go_is_not_kept_for_ever() -> None:
    def built(world: World, node: Node) -> dict[str, dict[str, Any]]:
        return {CLUSTER: {"own": Cluster(name="own", alt_stat_name=node.name)}}

    snapshots = Snapshots(built, World(), held=10)
    for n in range(100):
        [resource] = snapshots.of(Node("sidecar", "127.0.0.1", f"{n}")).of(CLUSTER).values()
        assert f"{n}".encode() in resource.packed
    assert snapshots.held <= 11


def test_equal_content_is_one_object_across_worlds_and_is_forgotten_with_the_last() -> None:
    interned: Interned = WeakValueDictionary()

    def snapshot() -> Snapshot:
        return Snapshots(lambda world, node: {CLUSTER: {"one": Cluster(name="one")}}, World(), interned).of(NODE)

    one, other = snapshot(), snapshot()
    assert one.of(CLUSTER)["one"] is other.of(CLUSTER)["one"]
    assert len(interned) == 1
    del one, other
    gc.collect()
    assert len(interned) == 0


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=3)), st.randoms())
def test_the_version_of_a_set_knows_no_order(content: dict[str, str], random: Any) -> None:
    resources = [versioned(CLUSTER, name, Cluster(name=name, alt_stat_name=stat)) for name, stat in content.items()]
    shuffled = list(resources)
    random.shuffle(shuffled)
    assert set_version(resources) == set_version(shuffled)
    if resources:
        assert set_version(resources[1:]) != set_version(resources)


def test_the_version_is_that_of_the_content() -> None:
    one = of({CLUSTER: {"one": Cluster(name="one")}})
    same = of({CLUSTER: {"one": Cluster(name="one")}})
    assert one.version(CLUSTER) == same.version(CLUSTER) != ""
    assert one.version(ROUTE) == ""


def test_differences_name_what_is_new_changed_and_gone() -> None:
    def clusters(**stat_names: str) -> Snapshot:
        return of({CLUSTER: {name: Cluster(name=name, alt_stat_name=value) for name, value in stat_names.items()}})

    old, new = clusters(same="1", changed="1", gone="1"), clusters(same="1", changed="2", new="1")
    assert set(differences(old, new)) == {(CLUSTER, "changed"), (CLUSTER, "gone"), (CLUSTER, "new")}
    assert differences(old, old) == []
    assert set(differences(Snapshot(), of({ROUTE: {"r": RouteConfiguration(name="r")}}))) == {(ROUTE, "r")}
