"""A control plane for the bench: ours, serving over ADS what a bootstrap holds under static_resources."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from control_plane.ads.hub import PushHub
from control_plane.ads.server import AdsServer
from control_plane.world import World
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.bench.bootstraps import HTTP2, address

SECONDS = 60.0
XDS_CLUSTER = "xds"
ADS = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
Resources = Mapping[str, Mapping[str, Any]]  # messages by type URL and name


class Plane:
    """Serves as long as the block, on a thread of its own. `publish` pushes at once."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._resources: Resources = {}
        self._revision = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def publish(self, resources: Resources) -> None:
        self._run(self._publish(resources))

    async def _start(self) -> None:
        self._hub = PushHub(lambda _world, _node: self._resources)
        self._server = AdsServer(self._hub, "127.0.0.1:0")
        await self._server.start()
        self.port = self._server.port

    async def _publish(self, resources: Resources) -> None:
        self._resources = resources
        self._revision += 1
        self._hub.publish(World(self._revision))

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)


def dynamic(bootstrap: Mapping[str, Any], port: int) -> dict[str, Any]:
    """The same node with everything else from ADS on that port."""
    xds = {
        "name": XDS_CLUSTER,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": HTTP2,
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }
    source = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": XDS_CLUSTER}}],
    }
    return {
        "node": bootstrap["node"],
        "admin": bootstrap["admin"],
        "dynamic_resources": {"lds_config": ADS, "cds_config": ADS, "ads_config": source},
        "static_resources": {"clusters": [xds]},
    }


def resources(bootstrap: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The clusters, endpoints, listeners and routes of a bootstrap, each as a resource of its own."""
    from envoy.config.cluster.v3.cluster_pb2 import Cluster
    from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
    from envoy.config.listener.v3.listener_pb2 import Listener
    from envoy.config.route.v3.route_pb2 import RouteConfiguration

    from sidecar.config.json_message import construct

    found: dict[str, dict[str, Any]] = {CLUSTER: {}, ENDPOINT: {}, LISTENER: {}, ROUTE: {}}
    for given in bootstrap["static_resources"]["clusters"]:
        cluster = {**given, "type": "EDS", "eds_cluster_config": {"eds_config": ADS}}
        found[ENDPOINT][given["name"]] = construct(cluster.pop("load_assignment"), ClusterLoadAssignment)
        found[CLUSTER][given["name"]] = construct(cluster, Cluster)
    for given in bootstrap["static_resources"]["listeners"]:
        listener = copy.copy(given)
        network = given["filter_chains"][0]["filters"][0]
        hcm = dict(network["typed_config"])
        routes = hcm.pop("route_config")
        hcm["rds"] = {"config_source": ADS, "route_config_name": routes["name"]}
        listener["filter_chains"] = [{"filters": [{**network, "typed_config": hcm}]}]
        found[ROUTE][routes["name"]] = construct(routes, RouteConfiguration)
        found[LISTENER][given["name"]] = construct(listener, Listener)
    return found
