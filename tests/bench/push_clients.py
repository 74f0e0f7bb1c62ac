"""Many ADS clients in one process: `python -m tests.bench.push_clients`, which `ads_scale` starts.

`delta` and `sotw` ask as Envoy does, acknowledge everything and remember names and versions; `whole` is a delta client that
does not take virtual hosts as resources; `ours` is the sidecar's own client in front of a data plane that does nothing. A
stream that ends is begun again, with what the client has. A line `drop N` on standard input ends the streams of the first N
at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Sequence
from typing import Any, Final, Protocol

import uvloop

from mesh.node import Node
from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, TAKES_VIRTUAL_HOSTS, VIRTUAL_HOST
from tests.bench.push_world import node as proxy_node

KINDS: Final = ("delta", "whole", "sotw", "ours")
CONNECTING_AT_ONCE: Final = 50
RECONNECT_SECONDS: Final = 0.5  # at most, drawn by lot: as Envoy's back-off begins
OPTIONS: Final = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1))
WILDCARDS: Final = frozenset({CLUSTER, LISTENER, VIRTUAL_HOST})
ASKED: Final = {CLUSTER: ENDPOINT, LISTENER: ROUTE}


class Client(Protocol):
    """One proxy."""

    async def run(self) -> None:
        """Until cancelled."""

    async def drop(self) -> None:
        """Loses its stream and makes another one."""


class Bare:
    """What the clients without a data plane have in common: `known` are versions by type and name."""

    def __init__(self, port: int, node: Node, gate: asyncio.Semaphore, lot: random.Random) -> None:
        self._port = port
        self._node = node
        self._gate = gate
        self._lot = lot
        self._call: Any = None
        self._has: dict[str, tuple[str, ...]] = {}
        self._versions: dict[str, str] = {}

    async def run(self) -> None:
        import grpc.aio

        while True:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{self._port}", OPTIONS) as channel:
                try:
                    async with self._gate:
                        await channel.channel_ready()
                    await self._stream(channel)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    self._call = None  # the server is gone
                except asyncio.CancelledError:
                    if self._call is None or not self._call.cancelled():
                        raise
            await asyncio.sleep(self._lot.uniform(0, RECONNECT_SECONDS))

    async def drop(self) -> None:
        if self._call is not None:
            self._call.cancel()

    async def _stream(self, channel: Any) -> None:
        raise NotImplementedError

    def _asks(self, type_url: str, values: Sequence[bytes]) -> list[str]:
        """What these clusters or listeners ask for."""
        from envoy.config.cluster.v3.cluster_pb2 import Cluster
        from envoy.config.listener.v3.listener_pb2 import Listener

        from control_plane.resource import asks_for

        if type_url not in ASKED:
            return []
        read = Cluster if type_url == CLUSTER else Listener
        return [name for value in values for name in asks_for(type_url, read.FromString(value))]


class Delta(Bare):
    features: tuple[str, ...] = (TAKES_VIRTUAL_HOSTS,)

    def __init__(self, port: int, node: Node, gate: asyncio.Semaphore, lot: random.Random) -> None:
        super().__init__(port, node, gate, lot)
        self._known: dict[str, dict[str, str]] = {url: {} for url in (CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST)}

    async def _stream(self, channel: Any) -> None:
        import grpc.aio
        from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
        from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

        call = self._call = AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        node = {**self._node.to_xds(), "client_features": self.features}
        for type_url, known in self._known.items():
            if type_url not in ASKED and not known:
                continue
            names = [] if type_url in WILDCARDS else sorted(known)
            request = DeltaDiscoveryRequest(
                node=node, type_url=type_url, resource_names_subscribe=names, initial_resource_versions=known
            )
            await call.write(request)
        while (response := await call.read()) is not grpc.aio.EOF:
            type_url = response.type_url
            known = self._known[type_url]
            known.update((sys.intern(each.name), each.version) for each in response.resources)
            for name in response.removed_resources:
                known.pop(name, None)
            if (asked := ASKED.get(type_url)) is not None:
                wanted = self._asks(type_url, [each.resource.value for each in response.resources])
                fresh = set(wanted) - self._known[asked].keys()
                if fresh:
                    self._known[asked].update(dict.fromkeys(map(sys.intern, fresh), ""))
                    await call.write(DeltaDiscoveryRequest(type_url=asked, resource_names_subscribe=sorted(fresh)))
            await call.write(DeltaDiscoveryRequest(type_url=type_url, response_nonce=response.nonce))
            if type_url == ROUTE and self.features:
                await call.write(DeltaDiscoveryRequest(type_url=VIRTUAL_HOST))  # said again it changes nothing


class Whole(Delta):
    features = ()


class Sotw(Bare):
    async def _stream(self, channel: Any) -> None:
        import grpc.aio
        from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
        from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

        call = self._call = AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
        node = self._node.to_xds()
        for type_url in (CLUSTER, ENDPOINT, LISTENER, ROUTE):
            names = self._has.get(type_url, ())
            if names or type_url in ASKED:
                version = self._versions.get(type_url, "")
                request = DiscoveryRequest(node=node, type_url=type_url, resource_names=names, version_info=version)
                await call.write(request)
        nonces: dict[str, str] = {}
        while (response := await call.read()) is not grpc.aio.EOF:
            type_url = response.type_url
            nonces[type_url], self._versions[type_url] = response.nonce, response.version_info
            await call.write(self._request(type_url, nonces))
            if (asked := ASKED.get(type_url)) is not None:
                wanted = tuple(
                    sorted(map(sys.intern, set(self._asks(type_url, [r.value for r in response.resources]))))
                )
                if wanted and wanted != self._has.get(asked, ()):
                    self._has[asked] = wanted
                    await call.write(self._request(asked, nonces))

    def _request(self, type_url: str, nonces: dict[str, str]) -> Any:
        from envoy.service.discovery.v3.discovery_pb2 import DiscoveryRequest

        return DiscoveryRequest(
            type_url=type_url,
            resource_names=self._has.get(type_url, ()),
            version_info=self._versions.get(type_url, "") if type_url in nonces else "",
            response_nonce=nonces.get(type_url, ""),
        )


class Ours:
    """The sidecar's client, with all that it checks and compiles."""

    def __init__(self, port: int, node: Node) -> None:
        self._bootstrap = bootstrap(port, node)
        self._dropped = asyncio.Event()

    async def run(self) -> None:
        from sidecar.xds.client import AdsClient

        tasks = TaskOwner("client")
        client = AdsClient(self._bootstrap, Nowhere(), tasks)
        client.start()
        try:
            while True:
                await self._dropped.wait()
                self._dropped.clear()
                await client.close()
                client = AdsClient(self._bootstrap, Nowhere(), tasks)
                client.start()
        finally:
            await tasks.close()

    async def drop(self) -> None:
        self._dropped.set()


class Nowhere:
    """A data plane that takes everything and does nothing."""

    def set_cluster(self, cluster: Any) -> None: ...
    def remove_cluster(self, name: str) -> None: ...
    def set_assignment(self, assignment: Any) -> None: ...
    def set_listener(self, listener: Any) -> None: ...
    def remove_listener(self, name: str) -> None: ...
    def set_routes(self, routes: Any) -> None: ...
    def remove_routes(self, name: str) -> None: ...
    def initialized(self) -> None: ...


def bootstrap(port: int, node: Node) -> Any:
    """What a sidecar reads from its bootstrap file."""
    from mesh.bootstrap import bootstrap as document
    from sidecar.bootstrap import load

    return load("", json.dumps(document(node, "127.0.0.1", port)))


async def serve(options: argparse.Namespace) -> None:
    gate, lot = asyncio.Semaphore(CONNECTING_AT_ONCE), random.Random(options.first)
    bare = {"delta": Delta, "whole": Whole, "sotw": Sotw}
    nodes = [proxy_node(options.first + n, options.services) for n in range(options.proxies)]
    clients: list[Client] = [
        Ours(options.port, each) if options.client == "ours" else bare[options.client](options.port, each, gate, lot)
        for each in nodes
    ]
    tasks = TaskOwner("clients")
    for client in clients:
        tasks.start(client.run())
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        for client in clients[: int(line.split()[1])]:
            await client.drop()
    await tasks.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.push_clients", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--first", type=int, required=True, help="number of the first proxy")
    parser.add_argument("--proxies", type=int, required=True)
    parser.add_argument("--services", type=int, required=True)
    parser.add_argument("--client", choices=KINDS, required=True)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
