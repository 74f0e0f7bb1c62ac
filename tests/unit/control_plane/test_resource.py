from __future__ import annotations

from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf.any_pb2 import Any as AnyMessage

from control_plane.resource import Versioned, messages_of, versioned
from mesh.xds import CLUSTER, LISTENER, ROUTE, SECRET, any_of


def manager(route_name: str = "") -> Any:
    message = HttpConnectionManager(stat_prefix="x")
    if route_name:
        message.rds.route_config_name = route_name
    else:
        message.route_config.name = "inline"
    return any_of(message)


def test_the_packed_bytes_are_an_any() -> None:
    cluster = Cluster(name="one")
    packed = AnyMessage.FromString(versioned(CLUSTER, "one", cluster).packed)
    assert packed == any_of(cluster)


def test_the_message_is_equal_to_that_which_it_was_made_of() -> None:
    cluster = Cluster(name="one", alt_stat_name="x")
    made = versioned(CLUSTER, "one", cluster)
    assert made.message == cluster
    assert made.message is not made.message
    assert messages_of({"one": made, "two": cluster}) == {"one": cluster, "two": cluster}


def test_equal_content_has_equal_versions_and_marks_and_other_content_has_not() -> None:
    one, same, other = (
        versioned(CLUSTER, "one", Cluster(name="one", alt_stat_name=stat_name)) for stat_name in ("a", "a", "b")
    )
    assert (one.version, one.mark) == (same.version, same.mark)
    assert one.version != other.version
    assert one.mark != other.mark


def test_the_mark_tells_types_and_names_apart() -> None:
    empty = Cluster()
    marks = {versioned(t, n, empty).mark for t in (CLUSTER, SECRET) for n in ("a", "b")}
    assert len(marks) == 4


@pytest.mark.parametrize(
    ("cluster", "asks"),
    [
        (Cluster(name="one", type="EDS"), ("one",)),
        (Cluster(name="one", type="EDS", eds_cluster_config={"service_name": "other"}), ("other",)),
        (Cluster(name="one", type="STRICT_DNS"), ()),
        (Cluster(name="one", cluster_type={"name": "envoy.clusters.aggregate"}), ()),
        (Cluster(name="one"), ()),
    ],
)
def test_a_cluster_asks_for_endpoints_if_it_finds_them_by_eds(cluster: Any, asks: tuple[str, ...]) -> None:
    assert versioned(CLUSTER, "one", cluster).asks == asks


def test_a_listener_asks_for_the_routes_of_all_its_chains_once_each() -> None:
    listener = Listener(name="l")
    for config in (manager("a"), manager("b"), manager("a"), manager(), any_of(TcpProxy(cluster="one"))):
        listener.filter_chains.add().filters.add().typed_config.CopyFrom(config)
    listener.filter_chains.add().filters.add(name="no config")
    listener.default_filter_chain.filters.add().typed_config.CopyFrom(manager("c"))
    assert versioned(LISTENER, "l", listener).asks == ("a", "b", "c")


def test_a_proxyless_listener_asks_for_the_routes_of_its_api_listener() -> None:
    listener = Listener(name="l")
    listener.api_listener.api_listener.CopyFrom(manager("a"))
    assert versioned(LISTENER, "l", listener).asks == ("a",)


def test_a_listener_binds_all_its_addresses() -> None:
    listener = Listener(name="l")
    listener.address.socket_address.address = "127.0.0.1"
    listener.address.socket_address.port_value = 80
    extra = listener.additional_addresses.add().address.socket_address
    extra.address, extra.port_value = "127.0.0.2", 81
    assert versioned(LISTENER, "l", listener).binds == {"127.0.0.1:80", "127.0.0.2:81"}
    assert versioned(LISTENER, "l", Listener()).binds == frozenset()


def test_what_a_client_brought_along_is_known_by_version_only() -> None:
    assert not Versioned("one", "abc").known
    assert versioned(ROUTE, "r", RouteConfiguration()).known
