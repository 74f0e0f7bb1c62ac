from __future__ import annotations

import json
from typing import Any

import pytest
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from mesh import xds
from sidecar.admin import config_dump
from sidecar.admin.views import QueryError
from sidecar.config import model
from tests.unit.sidecar.admin.fakes import FakeHost, FakeRuntime

PREFIX = "type.googleapis.com/envoy.admin.v3."


def cluster(name: str) -> model.Cluster:
    return model.Cluster(name, model.Discovery.EDS, source=Cluster(name=name).SerializeToString())


def listener(name: str, *chains: model.FilterChain) -> model.Listener:
    source = Listener(name=name).SerializeToString()
    return model.Listener(name, model.Address("127.0.0.1", 1), chains, source=source)


def routes(name: str) -> model.RouteConfig:
    return model.RouteConfig(name, (), source=RouteConfiguration(name=name).SerializeToString())


@pytest.fixture
def runtime() -> FakeRuntime:
    inline = model.FilterChain("", model.FilterChainMatch(), model.Hcm("in", (), routes=routes("inline")))
    static_cluster, static_listener = cluster("static"), listener("static", inline)
    bootstrap = Bootstrap()
    bootstrap.node.id = "n1"
    made = FakeRuntime(
        model.Bootstrap(
            {"id": "n1"},
            clusters=(static_cluster,),
            listeners=(static_listener,),
            source=bootstrap.SerializeToString(),
        )
    )
    made.add(static_cluster)
    made.add(cluster("dynamic"), FakeHost(model.Address("10.0.0.7", 9080)))
    made.listen(static_listener)
    made.listen(listener("dynamic"))
    made.routes["9080"] = routes("9080")
    return made


def versions(kind: str, name: str) -> str:
    return f"{xds.SHORT[kind]}-{name}"


async def dump(runtime: FakeRuntime, **query: str) -> list[dict[str, Any]]:
    text = "".join([piece async for piece in config_dump.render(runtime, versions, query)])
    found: list[dict[str, Any]] = json.loads(text)["configs"]
    return found


async def test_everything_in_envoys_order(runtime: FakeRuntime) -> None:
    found = await dump(runtime)
    assert [part["@type"].removeprefix(PREFIX) for part in found] == [
        "BootstrapConfigDump",
        "ClustersConfigDump",
        "ListenersConfigDump",
        "RoutesConfigDump",
    ]
    bootstrap, clusters, listeners, route_configs = found
    assert bootstrap["bootstrap"] == {"node": {"id": "n1"}}
    assert clusters["static_clusters"] == [{"cluster": {"@type": xds.CLUSTER, "name": "static"}}]
    assert clusters["dynamic_active_clusters"] == [
        {"version_info": "CDS-dynamic", "cluster": {"@type": xds.CLUSTER, "name": "dynamic"}}
    ]
    assert listeners["static_listeners"] == [{"listener": {"@type": xds.LISTENER, "name": "static"}}]
    assert listeners["dynamic_listeners"] == [
        {
            "name": "dynamic",
            "active_state": {"version_info": "LDS-dynamic", "listener": {"@type": xds.LISTENER, "name": "dynamic"}},
        }
    ]
    assert route_configs["static_route_configs"] == [{"route_config": {"@type": xds.ROUTE, "name": "inline"}}]
    assert route_configs["dynamic_route_configs"] == [
        {"version_info": "RDS-9080", "route_config": {"@type": xds.ROUTE, "name": "9080"}}
    ]


async def test_endpoints_on_demand(runtime: FakeRuntime) -> None:
    runtime.clusters["dynamic"].hosts[0].ejected = True
    (found,) = [part for part in await dump(runtime, include_eds="") if "Endpoints" in part["@type"]]
    (entry,) = found["dynamic_endpoint_configs"]
    assert entry["endpoint_config"]["cluster_name"] == "dynamic"
    (group,) = entry["endpoint_config"]["endpoints"]
    assert group["locality"] == {"region": "r1", "zone": "z1"}
    (endpoint,) = group["lb_endpoints"]
    assert endpoint["health_status"] == "UNHEALTHY"
    assert endpoint["endpoint"]["address"] == {"socket_address": {"address": "10.0.0.7", "port_value": 9080}}


async def test_one_kind(runtime: FakeRuntime) -> None:
    (found,) = await dump(runtime, resource="dynamic_active_clusters")
    assert found["@type"] == PREFIX + "ClustersConfigDump.DynamicCluster"
    assert found["cluster"]["name"] == "dynamic"
    (found,) = await dump(runtime, resource="dynamic_endpoint_configs")
    assert found["endpoint_config"]["cluster_name"] == "dynamic"


async def test_by_name(runtime: FakeRuntime) -> None:
    found = await dump(runtime, name_regex="^stat")
    names = [entry["cluster"]["name"] for part in found for entry in part.get("static_clusters", ())]
    assert names == ["static"]
    assert [part.get("dynamic_active_clusters") for part in found] == [[], None, None]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"resource": "nope"}, "nope not found in config dump"),
        ({"resource": "static_clusters", "mask": "cluster.nope"}, "the mask names no field"),
        ({"resource": "bootstrap"}, "bootstrap is not a repeated field"),
        ({"what": "bootstrap"}, "what: not implemented"),
        ({"name_regex": "["}, "Invalid re2 regex"),
    ],
)
async def test_what_is_not_understood_is_refused(runtime: FakeRuntime, query: dict[str, str], reason: str) -> None:
    with pytest.raises(QueryError, match=reason):
        await dump(runtime, **query)


def test_a_message_of_unknown_content_is_shown_as_bytes() -> None:
    message = Listener(name="l")
    chain = message.filter_chains.add().filters.add(name="f")
    chain.typed_config.type_url = "type.googleapis.com/nobody.knows.This"
    assert set(config_dump.as_json(xds.LISTENER, message.SerializeToString())) == {"@type", "value"}


async def test_parts_of_what_there_is(runtime: FakeRuntime) -> None:
    assert await dump(runtime, mask="bootstrap.node.id") == [
        {"@type": PREFIX + "BootstrapConfigDump", "bootstrap": {"node": {"id": "n1"}}}
    ]
    (found,) = await dump(runtime, mask="static_clusters,dynamic_listeners.name")
    assert found["static_clusters"] == [{"cluster": {"@type": xds.CLUSTER, "name": "static"}}]
    (found,) = await dump(runtime, resource="dynamic_active_clusters", mask="version_info,cluster.type")
    assert found == {"@type": PREFIX + "ClustersConfigDump.DynamicCluster", "version_info": "CDS-dynamic"}


async def test_virtual_hosts_that_came_one_by_one_are_in_their_routes(runtime: FakeRuntime) -> None:
    source = VirtualHost(name="http_proxy/a", domains=["a"]).SerializeToString()
    host = model.VirtualHost("http_proxy/a", ("a",), (), source=source)
    whole = RouteConfiguration(name="http_proxy").SerializeToString()
    runtime.routes["http_proxy"] = model.RouteConfig("http_proxy", (host,), vhds=True, source=whole)
    found = await dump(runtime, resource="dynamic_route_configs", name_regex="http_proxy")
    [hosts] = [each["route_config"]["virtual_hosts"] for each in found]
    assert hosts == [{"name": "http_proxy/a", "domains": ["a"]}]
