"""Many delta xDS clients in one process: each asks as Envoy does, acknowledges everything, and comes back when its stream
ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf.json_format import ParseDict

from mesh.naming import HTTP_PROXY_ROUTES
from mesh.node import Node
from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE

METHOD: Final = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
RETRY_SECONDS: Final = 0.2
OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))


class FleetProxy:
    """One of them. `versions` is what it has, by type URL and name; explicit proxies only, whose routes have one name."""

    def __init__(self, port: int, node: Node, fleet: Fleet) -> None:
        self._port = port
        self._node = node
        self._fleet = fleet
        self.versions: dict[str, dict[str, str]] = {CLUSTER: {}, ENDPOINT: {}, LISTENER: {}, ROUTE: {}}
        self.call: Any = None

    async def run(self) -> None:
        while True:
            try:
                async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", OPTIONS) as channel:
                    await self._stream(channel)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if current is None or current.cancelling():
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    async def _stream(self, channel: Any) -> None:
        method = channel.stream_stream(
            METHOD,
            request_serializer=DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=DeltaDiscoveryResponse.FromString,
        )
        self.call = call = method()
        first = ParseDict({"node": self._node.to_xds()}, DeltaDiscoveryRequest())
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            had = self.versions[type_url]
            if type_url in (ENDPOINT, ROUTE) and not had:
                continue
            first.type_url = type_url
            first.initial_resource_versions.clear()
            first.initial_resource_versions.update(had)
            del first.resource_names_subscribe[:]
            if type_url in (ENDPOINT, ROUTE):
                first.resource_names_subscribe.extend(had)
            await call.write(first)
            first.ClearField("node")
        while (response := await call.read()) is not grpc.aio.EOF:
            await self._answer(call, response)

    async def _answer(self, call: Any, response: Any) -> None:
        self._fleet.received(response)
        type_url = response.type_url
        known = self.versions[type_url]
        fresh = [resource.name for resource in response.resources if resource.name not in known]
        known.update((resource.name, resource.version) for resource in response.resources)
        for name in response.removed_resources:
            known.pop(name, None)
        # As Envoy: what a resource refers to is asked for before the resource is acknowledged.
        if type_url == CLUSTER and (names := [name for name in fresh if name.startswith("outbound|")]):
            await call.write(DeltaDiscoveryRequest(type_url=ENDPOINT, resource_names_subscribe=names))
        if type_url == LISTENER and fresh and not self.versions[ROUTE]:
            await call.write(DeltaDiscoveryRequest(type_url=ROUTE, resource_names_subscribe=[HTTP_PROXY_ROUTES]))
        await call.write(DeltaDiscoveryRequest(type_url=type_url, response_nonce=response.nonce))


class Fleet:
    """All of them. `pushes` counts the responses by type URL, `bytes` what they weighed."""

    def __init__(self, port: int, nodes: Sequence[Node]) -> None:
        self.pushes: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.proxies = [FleetProxy(port, node, self) for node in nodes]

    def received(self, response: Any) -> None:
        self.pushes[response.type_url] += 1
        self.bytes[response.type_url] += response.ByteSize()

    def drop(self) -> None:
        """Every stream ends at once."""
        for proxy in self.proxies:
            if proxy.call is not None:
                proxy.call.cancel()


@asynccontextmanager
async def fleet(port: int, nodes: Sequence[Node]) -> AsyncIterator[Fleet]:
    """Running for as long as the context lasts."""
    all_of_them = Fleet(port, nodes)
    tasks = TaskOwner("fleet")
    for proxy in all_of_them.proxies:
        tasks.start(proxy.run())
    try:
        yield all_of_them
    finally:
        await tasks.close()
