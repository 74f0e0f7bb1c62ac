"""The server on real sockets, with scripted clients."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DiscoveryRequest

from control_plane.ads.hub import PushHub, unpacked
from control_plane.ads.server import AdsServer
from mesh.node import Node
from mesh.xds import CLUSTER, LISTENER, any_of
from tests.integration.ads.support import (
    Config,
    ControlPlane,
    assignment,
    control_plane,
    eds_cluster,
    eventually,
    routes,
)

UNLIMITED = [("grpc.max_receive_message_length", -1)]
SMALL_WINDOW = [*UNLIMITED, ("grpc.http2.bdp_probe", 0)]


class Stream:
    """One client's stream; it acknowledges what it reads if told to."""

    def __init__(self, call: Any, delta: bool) -> None:
        self.call = call
        self.kind = DeltaDiscoveryRequest if delta else DiscoveryRequest

    async def ask(self, name: str = "", type_url: str = CLUSTER, **more: Any) -> None:
        node = Node("sidecar", "127.0.0.1", name).to_xds() if name else None
        await self.call.write(self.kind(node=node, type_url=type_url, **more))

    async def read(self) -> Any:
        async with asyncio.timeout(10):
            return await self.call.read()

    async def ack(self) -> list[str]:
        """Reads a response of clusters and acknowledges it; their names."""
        response = await self.read()
        if self.kind is DiscoveryRequest:
            await self.ask(version_info=response.version_info, response_nonce=response.nonce)
            return [Cluster.FromString(resource.value).name for resource in response.resources]
        await self.ask(response_nonce=response.nonce)
        return [resource.name for resource in response.resources]


@asynccontextmanager
async def stream(plane: ControlPlane, delta: bool, options: Any = UNLIMITED) -> AsyncIterator[Stream]:
    address = f"127.0.0.1:{plane.server.port}"
    # A pool of its own: streams of one process would otherwise share a connection.
    async with grpc.aio.insecure_channel(address, [*options, ("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = AggregatedDiscoveryServiceStub(channel)
        call = stub.DeltaAggregatedResources() if delta else stub.StreamAggregatedResources()
        yield Stream(call, delta)
        call.cancel()


def clusters(**stat_names: str) -> Config:
    return {CLUSTER: {name: Cluster(name=name, alt_stat_name=value) for name, value in stat_names.items()}}


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_a_client_is_served_registered_and_missed(delta: bool) -> None:
    async with control_plane() as plane:
        plane.publish(clusters(a="1"))
        async with stream(plane, delta) as client:
            await client.ask("web")
            assert await client.ack() == ["a"]
            await plane.converged(clusters(a="1"))
            _, names = await asyncio.gather(plane.converged(clusters(a="1", b="1")), client.ack())
            assert "b" in names
            assert plane.registry.events == [("connected", "web")]
        await eventually(lambda: not plane.hub.proxies(), 5.0, "gone")
        assert plane.registry.events == [("connected", "web"), ("disconnected", "web")]
        assert plane.metrics.values["proxies"] == 0


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_a_first_request_without_a_node_is_refused(delta: bool) -> None:
    async with control_plane() as plane, stream(plane, delta) as client:
        await client.ask()
        with pytest.raises(grpc.aio.AioRpcError, match="must carry a node") as refused:
            await client.read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert plane.registry.events == []


@pytest.mark.fault(7)
@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
async def test_what_is_too_much_is_refused_with_its_reason(delta: bool) -> None:
    async with control_plane() as plane:
        for metadata, reason in (
            ({"SERVICE_PORTS": [{"number": 1e300}]}, "must be a port number"),
            ({"SERVICE_PORTS": [{"number": n + 1} for n in range(60_000)]}, "is the limit"),
        ):
            async with stream(plane, delta) as client:
                await client.call.write(client.kind(node={"id": "web", "metadata": metadata}, type_url=CLUSTER))
                with pytest.raises(grpc.aio.AioRpcError, match=reason) as refused:
                    await client.read()
                assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        async with stream(plane, delta) as client:
            await client.ask("web")
            names = [f"n{n}" for n in range(60_000)]
            field = "resource_names_subscribe" if delta else "resource_names"
            await client.ask(**{field: names})
            with pytest.raises(grpc.aio.AioRpcError, match="60,000 resource names are asked for") as refused:
                await client.read()
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        await eventually(lambda: not plane.hub.proxies(), 5.0, "gone")


async def test_a_client_that_only_connects_is_nobody() -> None:
    async with control_plane() as plane:
        async with stream(plane, True) as client:
            await client.call.done_writing()
            assert await client.read() is grpc.aio.EOF
        assert plane.registry.events == []


async def test_clients_may_ping_often() -> None:
    pinging = [
        *UNLIMITED,
        ("grpc.keepalive_time_ms", 50),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    async with control_plane() as plane, stream(plane, True, pinging) as client:
        await client.ask("web")
        with pytest.raises(TimeoutError):  # nothing comes, nothing ends
            async with asyncio.timeout(1.0):
                await client.call.read()
        assert plane.hub.proxies()


async def test_a_large_configuration_fits() -> None:
    async with control_plane() as plane, stream(plane, True) as client:
        plane.publish(clusters(**{f"c{n}": "x" * 6000 for n in range(1000)}))
        await client.ask("web")
        assert len(await client.ack()) == 1000


async def test_a_client_that_does_not_read_holds_nobody_back() -> None:
    def version(n: int) -> Config:
        return clusters(**{f"c{i}": f"{n}" * 4000 for i in range(500)})

    async with control_plane() as plane, stream(plane, True, SMALL_WINDOW) as slow, stream(plane, True) as fast:
        plane.publish(version(0))
        for client, name in ((slow, "slow"), (fast, "fast")):
            await client.ask(name)
            await client.ack()
        for n in range(1, 6):
            revision = plane.publish(version(n))
            assert len(await fast.ack()) == 500
        assert (await plane.hub.convergence(revision, 0.1)).acked == 1
        assert len(await slow.ack()) == 500
        assert len(await slow.ack()) == 500  # all that was published meanwhile is one
        assert (await plane.hub.convergence(revision, 5)).state == "converged"


async def test_two_on_one_port_is_an_error() -> None:
    async with control_plane() as plane:
        other = AdsServer(PushHub(lambda world, node: {}), f"127.0.0.1:{plane.server.port}")
        with pytest.raises(RuntimeError):
            await other.start()
        await other.stop()


# ── proxyless gRPC ────────────────────────────────────────────────────────────────────────────────────────────────────

CALLER = """
import sys, grpc
channel = grpc.insecure_channel("xds:///greeter")
for _ in sys.stdin:
    print(channel.unary_unary("/test/Greet")(b"you", timeout=10, wait_for_ready=True).decode(), flush=True)
"""


class Greeter(grpc.GenericRpcHandler):
    """A server that says who it is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._greet)

    async def _greet(self, request: bytes, context: Any) -> bytes:
        return f"{self._name} greets {request.decode()}".encode()


@asynccontextmanager
async def greeter(name: str) -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Greeter(name),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


def proxyless(cluster: str, **ports: int) -> Config:
    manager = HttpConnectionManager(stat_prefix="greeter")
    manager.rds.route_config_name = "greeter"
    manager.rds.config_source.ads.SetInParent()
    manager.http_filters.add(name="router").typed_config.CopyFrom(any_of(Router()))
    listener = Listener(name="greeter")
    listener.api_listener.api_listener.CopyFrom(any_of(manager))
    return {
        LISTENER: {"greeter": listener, "other": Listener(name="other")},
        "type.googleapis.com/envoy.config.route.v3.RouteConfiguration": {"greeter": routes("greeter", cluster)},
        CLUSTER: {name: eds_cluster(name) for name in ports},
        "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment": {
            name: assignment(name, port) for name, port in ports.items()
        },
    }


async def test_a_proxyless_client_calls_what_it_is_told_even_if_told_late() -> None:
    async with control_plane() as plane, greeter("one") as one, greeter("two") as two:
        plane.publish({CLUSTER: {}, LISTENER: {}})
        bootstrap = {
            "xds_servers": [
                {
                    "server_uri": f"127.0.0.1:{plane.server.port}",
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": Node("sidecar", "127.0.0.1", "caller", generator="grpc").to_xds(),
        }
        caller = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            CALLER,
            env={"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(bootstrap), "GRPC_VERBOSITY": "NONE"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            answer, _ = await asyncio.gather(greeting(caller), appears(plane, proxyless("one", one=one)))
            assert answer == "one greets you"
            assert [c["name"] for c in unpacked(plane.hub.proxy_config("caller", "listeners"))] == ["greeter"]

            # It acknowledges the route before it asks for the cluster, and calls the old one until it has the new.
            await plane.converged(proxyless("two", one=one, two=two))
            async with asyncio.timeout(5):
                while await greeting(caller) != "two greets you":
                    assert plane.hub.proxies()
            await plane.converged(proxyless("two", two=two))
            assert await greeting(caller) == "two greets you"
            assert not [name for name in plane.metrics.values if name.startswith("rejected")]
        finally:
            caller.kill()
            await caller.wait()


async def greeting(caller: asyncio.subprocess.Process) -> str:
    assert caller.stdin is not None
    assert caller.stdout is not None
    caller.stdin.write(b"\n")
    async with asyncio.timeout(10):
        return (await caller.stdout.readline()).decode().strip()


async def appears(plane: ControlPlane, built: Config) -> None:
    """What the client asks for is there only once it has asked."""
    await eventually(plane.hub.proxies, 10.0, "the client")
    await plane.converged(built)
