"""Hand-made configurations, and a control plane and an Envoy to try them on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import ParseDict

from control_plane.ads.hub import PushHub
from control_plane.ads.server import AdsServer
from control_plane.world import World
from mesh.node import Node
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, any_of
from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.ports import free_port
from tests.harness.process import Process, http_get

T = TypeVar("T")
Config = dict[str, dict[str, Any]]


async def eventually(check: Callable[[], T], seconds: float, what: str) -> T:
    """The first truthy value of `check`, polled; AssertionError naming `what` after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (value := check()):
        assert asyncio.get_running_loop().time() < deadline, f"{what}: not within {seconds:g} s"
        await asyncio.sleep(0.01)
    return value


# ── resources ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def eds_cluster(name: str, connect_timeout: str = "1s") -> Any:
    return ParseDict(
        {
            "name": name,
            "type": "EDS",
            "connect_timeout": connect_timeout,
            "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
        },
        Cluster(),
    )


def assignment(name: str, *ports: int) -> Any:
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}} for port in ports
    ]
    locality = {"locality": {"region": "here"}, "load_balancing_weight": 1, "lb_endpoints": endpoints}
    return ParseDict({"cluster_name": name, "endpoints": [locality] if ports else []}, ClusterLoadAssignment())


def routes(name: str, cluster: str) -> Any:
    return ParseDict(
        {
            "name": name,
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}],
                }
            ],
        },
        RouteConfiguration(),
    )


def listener(name: str, port: int, route_name: str, stat_prefix: str = "test", address: str = "127.0.0.1") -> Any:
    manager = HttpConnectionManager(stat_prefix=stat_prefix)
    manager.rds.route_config_name = route_name
    manager.rds.config_source.ads.SetInParent()
    manager.rds.config_source.resource_api_version = 2
    manager.http_filters.add(name="envoy.filters.http.router").typed_config.CopyFrom(any_of(Router()))
    message = Listener(name=name)
    message.address.socket_address.address = address
    message.address.socket_address.port_value = port
    network_filter = message.filter_chains.add().filters.add(name="envoy.filters.network.http_connection_manager")
    network_filter.typed_config.CopyFrom(any_of(manager))
    return message


def config(
    clusters: Mapping[str, Sequence[int]], port: int = 0, route_to: str = "", stat_prefix: str = "test"
) -> Config:
    """EDS clusters with their endpoints' ports, and with `port` a listener whose only route goes to `route_to`."""
    built: Config = {
        CLUSTER: {name: eds_cluster(name) for name in clusters},
        ENDPOINT: {name: assignment(name, *ports) for name, ports in clusters.items() if ports},
        LISTENER: {},
        ROUTE: {},
    }
    if port:
        built[LISTENER]["in"] = listener("in", port, "web", stat_prefix)
        built[ROUTE]["web"] = routes("web", route_to)
    return built


# ── the control plane ─────────────────────────────────────────────────────────────────────────────────────────────────


class Registrations:
    """A registry that remembers who came and went."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def connected(self, node: Node) -> None:
        self.events.append(("connected", node.name))

    def disconnected(self, node: Node) -> None:
        self.events.append(("disconnected", node.name))


class Counts:
    """Metrics that are kept in a dict."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def _add(self, name: str) -> None:
        self.values[name] = self.values.get(name, 0) + 1

    def pushed(self, type_name: str) -> None:
        self._add(f"pushed.{type_name}")

    def rejected(self, type_name: str) -> None:
        self._add(f"rejected.{type_name}")

    def converged(self, seconds: float) -> None:
        self._add("converged")

    def expired(self, type_name: str) -> None: ...

    def queued(self, seconds: float) -> None: ...

    def proxies(self, count: int) -> None:
        self.values["proxies"] = count

    def sent(self, type_name: str, size: int, due_seconds: float, seconds: float) -> None:
        self._add("sent")


class ControlPlane:
    """A hub and its server; `publish` makes a configuration the current world of every proxy."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.configs: dict[int, Config] = {}
        self.registry = Registrations()
        self.metrics = Counts()
        self.hub = PushHub(lambda world, node: self.configs[world.revision], self.registry, self.metrics)
        self.server = AdsServer(self.hub, address)
        self.revision = 0

    def publish(self, built: Config) -> int:
        self.revision += 1
        self.configs[self.revision] = built
        self.hub.publish(World(revision=self.revision))
        return self.revision

    async def converged(self, built: Config, seconds: float = 10.0) -> None:
        """Publishes, and waits until everybody has it."""
        done = await self.hub.convergence(self.publish(built), seconds)
        assert done.state == "converged", done


@asynccontextmanager
async def control_plane(address: str = "127.0.0.1:0") -> AsyncIterator[ControlPlane]:
    plane = ControlPlane(address)
    await plane.server.start()
    try:
        yield plane
    finally:
        await plane.server.stop()


# ── Envoy ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Envoy:
    """A real Envoy that gets its configuration from a control plane."""

    def __init__(self, process: Process, admin: int) -> None:
        self.process = process
        self.admin = admin

    async def get(self, path: str) -> str:
        return (await asyncio.to_thread(http_get, self.admin, path))[1]

    async def ready(self, seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while (await asyncio.to_thread(http_get, self.admin, "/ready"))[0] != 200:
                assert self.process.returncode is None, self.process.log()
                await asyncio.sleep(0.05)

    async def stat(self, name: str) -> int:
        text = await self.get(f"/stats?filter=^{name}$")
        return int(text.partition(": ")[2] or 0)

    async def rejections(self) -> dict[str, int]:
        """Every counter of rejected updates that is not zero."""
        lines = (await self.get("/stats?filter=update_rejected")).splitlines()
        counters = {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}
        return {name: value for name, value in counters.items() if value}


@asynccontextmanager
async def envoy(
    xds_port: int, delta: bool, directory: Path, name: str = "web-1", node: Node | None = None
) -> AsyncIterator[Envoy]:
    admin = free_port()
    node = node or Node("sidecar", "127.0.0.1", name, service="web", labels={"app": "web"})
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(_bootstrap(xds_port, admin, delta, node)))
    command = envoy_command(envoy_binary(), path, "-l", "warning")
    with Process(command, directory / f"{name}.log") as process:
        yield Envoy(process, admin)


def _bootstrap(xds_port: int, admin: int, delta: bool, node: Node) -> dict[str, Any]:
    service = {
        "envoy_grpc": {
            "cluster_name": "xds",
            "retry_policy": {"retry_back_off": {"base_interval": "0.2s", "max_interval": "2s"}},
        }
    }
    source = {"ads": {}, "resource_api_version": "V3"}
    http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": xds_port}}}}
    return {
        "node": node.to_xds(),
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": admin}}},
        "dynamic_resources": {
            "ads_config": {
                "api_type": "DELTA_GRPC" if delta else "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [service],
            },
            "cds_config": source,
            "lds_config": source,
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "xds",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "typed_extension_protocol_options": {
                        http2: {
                            "@type": f"type.googleapis.com/{http2}",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {"cluster_name": "xds", "endpoints": [{"lb_endpoints": [endpoint]}]},
                }
            ]
        },
    }
