"""`python -m tests.bench.ads_scale`: how long a change takes to reach many proxies, and how long the loop stands still.

Simulated delta proxies, each with a connection of its own, in other processes; the real translation of a World of
`--services` services. Prints one line a change: seconds until half, 99 in 100 and all of the proxies have acknowledged it,
CPU seconds of the control plane, the longest time that its loop did not come round, and its memory. With `--scope N` a
Sidecar resource tells every proxy of N services only.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource as usage
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import uvloop

from control_plane.ads.hub import PushHub
from control_plane.ads.pace import Pace
from control_plane.ads.server import AdsServer
from control_plane.ads.status import NoMetrics
from control_plane.ads.stream import ProxyStream
from control_plane.ads.subscription import Request
from control_plane.translate import Translator
from control_plane.world import Instance, Service, World
from mesh.istio.load import load_documents
from mesh.istio.resource import Resource
from mesh.naming import inbound_port, service_host
from mesh.node import Node, ServicePort
from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, TAKES_VIRTUAL_HOSTS, VIRTUAL_HOST

WAIT_SECONDS: Final = 120.0
QUIET_SECONDS: Final = 3.0
CONNECTING_AT_ONCE: Final = 50
PORT: Final = ServicePort(9080, "http", "HTTP")


def world(revision: int, services: int, endpoints: int, scope: int = 0) -> World:
    """`services` services of `endpoints` endpoints each; with `scope` proxies see so many of them."""
    names = [f"service-{n}" for n in range(services)]
    hosts = {service_host(name, "default"): name for name in names}
    return World(
        revision=revision,
        services={host: Service(host, name, "default", (PORT,)) for host, name in hosts.items()},
        instances={
            host: tuple(instance(name, number, n) for n in range(endpoints))
            for number, (host, name) in enumerate(hosts.items())
        },
        resources={"Sidecar": (sidecar(names[:scope]),)} if scope else {},
    )


def resource(kind: str, name: str, spec: dict[str, Any]) -> Resource:
    head = {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}}
    return load_documents([{**head, "spec": spec}])[0]


def sidecar(names: list[str]) -> Resource:
    return resource("Sidecar", "default", {"egress": [{"hosts": [f"./{service_host(n, 'default')}" for n in names]}]})


def one_route(before: World) -> World:
    """A VirtualService for the first service that sends another share elsewhere each time."""
    weight = before.revision % 50
    targets = [{"destination": {"host": f"service-{n}"}, "weight": w} for n, w in ((0, weight), (1, 100 - weight))]
    spec = {"hosts": ["service-0"], "http": [{"route": targets}]}
    return replace(before, resources={**before.resources, "VirtualService": (resource("VirtualService", "r", spec),)})


def instance(service: str, number: int, n: int) -> Instance:
    address = f"127.{1 + n % 200}.{number // 250}.{number % 250 + 1}"
    return Instance(address, {9080: inbound_port(0)}, {"app": service}, workload=f"{service}-{n}", meshed=True)


# ── the proxies ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def proxy(port: int, number: int, services: int, gate: asyncio.Semaphore, whole: bool) -> None:
    """Asks as Envoy does and acknowledges everything, until the server goes; `whole`: as one that knows no VHDS."""
    import grpc.aio
    from envoy.config.cluster.v3.cluster_pb2 import Cluster
    from envoy.config.listener.v3.listener_pb2 import Listener
    from envoy.service.discovery.v3.ads_pb2_grpc import AggregatedDiscoveryServiceStub
    from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest

    from control_plane.snapshot.resource import asks_for

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    readers = {CLUSTER: Cluster, LISTENER: Listener}
    asked = {CLUSTER: ENDPOINT, LISTENER: ROUTE}
    node = Node(
        "sidecar",
        f"127.250.{number // 250}.{number % 250 + 1}",
        f"proxy-{number}",
        service=f"service-{number % services}",
        ports=(PORT,),
    )
    known: dict[str, set[str]] = {ENDPOINT: set(), ROUTE: set()}
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        async with gate:
            await channel.channel_ready()
        call = AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
        features = {} if whole else {"client_features": [TAKES_VIRTUAL_HOSTS]}
        await call.write(DeltaDiscoveryRequest(node={**node.to_xds(), **features}, type_url=CLUSTER))
        await call.write(DeltaDiscoveryRequest(type_url=LISTENER))
        while (response := await call.read()) is not grpc.aio.EOF:
            type_url = response.type_url
            if type_url in readers:
                messages = (readers[type_url].FromString(r.resource.value) for r in response.resources)
                names = {name for message in messages for name in asks_for(type_url, message)}
                fresh = names - known[asked[type_url]]
                if fresh:
                    known[asked[type_url]] |= fresh
                    await call.write(
                        DeltaDiscoveryRequest(type_url=asked[type_url], resource_names_subscribe=sorted(fresh))
                    )
            if type_url == ROUTE and features:
                await call.write(DeltaDiscoveryRequest(type_url=VIRTUAL_HOST))  # said again it changes nothing
            await call.write(DeltaDiscoveryRequest(type_url=type_url, response_nonce=response.nonce))


async def proxies(port: int, first: int, count: int, services: int, whole: bool) -> None:
    """Ends with the stream of the first that ends."""
    import grpc.aio

    gate = asyncio.Semaphore(CONNECTING_AT_ONCE)
    try:
        await asyncio.gather(*(proxy(port, first + n, services, gate, whole) for n in range(count)))
    except grpc.aio.AioRpcError as error:
        print(f"proxies end: {error.code().name}", file=sys.stderr)


# ── the control plane ─────────────────────────────────────────────────────────────────────────────────────────────────


class LoopLag:
    """The longest time that the loop did not come round since the last `take`."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest = max(self.longest, time.perf_counter() - before - 0.001)

    def take(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


@asynccontextmanager
async def clients(port: int, options: argparse.Namespace) -> AsyncIterator[None]:
    count, services = options.proxies, options.services
    each = -(-count // options.processes)
    command = [sys.executable, "-m", "tests.bench.ads_scale", "--services", str(services), "--connect", str(port)]
    command += ["--whole"] if options.whole else []
    children = [
        await asyncio.create_subprocess_exec(
            *command, "--first", str(first), "--proxies", str(min(each, count - first))
        )
        for first in range(0, count, each)
    ]
    try:
        yield
    finally:
        for child in children:
            if child.returncode is None:
                child.terminate()
            await child.wait()


async def measure(options: argparse.Namespace) -> None:
    sent = Sent()
    hub = TimedHub(Translator().build, metrics=sent, pace=Pace())
    server = AdsServer(hub, "127.0.0.1:0")
    await server.start()
    lag = LoopLag()
    tasks = TaskOwner("bench")
    tasks.start(lag.run())
    current = world(1, options.services, options.endpoints, options.scope)
    hub.publish(current)
    started, cpu = time.monotonic(), time.process_time()
    try:
        async with clients(server.port, options):
            async with asyncio.timeout(WAIT_SECONDS):
                while not all_in_sync(hub, options.proxies):  # noqa: ASYNC110 - nobody says when
                    await asyncio.sleep(0.2)
            spent = time.process_time() - cpu
            row("all connect", time.monotonic() - started, spent, lag.take(), options.proxies, sent.take())
            for name, change in (
                ("one endpoint more", one_endpoint_more),
                ("one endpoint more again", one_endpoint_more),
                ("one route", one_route),
                ("that route changed", one_route),
                ("one service more", one_service_more),
                ("nothing", lambda w: w),
                ("that service less", one_service_less),
            ):
                await asyncio.sleep(QUIET_SECONDS)  # nobody makes two changes at once
                lag.take()
                sent.take()
                current = replace(change(current), revision=current.revision + 1)
                cpu = time.process_time()
                hub.begin()
                hub.publish(current)
                done = await hub.convergence(current.revision, WAIT_SECONDS)
                spent = time.process_time() - cpu
                row(
                    f"{name}: {done.state}", done.seconds, spent, lag.take(), done.affected, sent.take(), hub.answered()
                )
            await steady(hub, current, options.changes)
    finally:
        await tasks.close()
        await server.stop()


class Sent(NoMetrics):
    """How many bytes went out since `take`."""

    def __init__(self) -> None:
        self._bytes = 0

    def sent(self, type_name: str, size: int, due_seconds: float, seconds: float) -> None:
        self._bytes += size

    def take(self) -> int:
        taken, self._bytes = self._bytes, 0
        return taken


class TimedHub(PushHub):
    """Notes when each proxy's last answer came."""

    def begin(self) -> None:
        self._began, self._at = time.monotonic(), dict[ProxyStream, float]()

    def received(self, stream: ProxyStream, request: Request) -> None:
        super().received(stream, request)
        if hasattr(self, "_at"):
            self._at[stream] = time.monotonic() - self._began

    def answered(self) -> list[float]:
        """Seconds since `begin`, one for each proxy that said anything, the fastest first."""
        return sorted(self._at.values())


async def steady(hub: PushHub, current: World, changes: int) -> None:
    """So many changes of an endpoint, ten a second: CPU seconds of the control plane a second."""
    if not changes:
        return
    cpu, began = time.process_time(), time.monotonic()
    for n in range(changes):
        current = replace(one_endpoint_more(current), revision=current.revision + 1)
        hub.publish(current)
        await asyncio.sleep(max(0.0, began + (n + 1) / 10 - time.monotonic()))
    done = await hub.convergence(current.revision, WAIT_SECONDS)
    seconds = time.monotonic() - began
    share = (time.process_time() - cpu) / seconds
    print(f"{changes} changes in {seconds:.1f} s: {done.state}, {share:.2f} of a processor", flush=True)


def all_in_sync(hub: PushHub, count: int) -> bool:
    known = hub.proxies()
    return len(known) == count and all(s.state == "SYNCED" for one in known for s in one.types.values())


def one_endpoint_more(before: World) -> World:
    host, instances = next(iter(before.instances.items()))
    number = before.revision
    address = f"127.240.{number // 250 % 250}.{number % 250 + 1}"
    more = (*instances[:10], Instance(address, {9080: inbound_port(0)}, workload="more", meshed=True))
    return replace(before, instances={**before.instances, host: more})


def one_service_more(before: World) -> World:
    host = service_host("more", "default")
    services = {**before.services, host: Service(host, "more", "default", (PORT,))}
    return replace(before, services=services, instances={**before.instances, host: (instance("more", 9_000, 0),)})


def one_service_less(before: World) -> World:
    host = service_host("more", "default")
    return replace(
        before,
        services={h: s for h, s in before.services.items() if h != host},
        instances={h: i for h, i in before.instances.items() if h != host},
    )


def row(
    name: str, seconds: float, cpu: float, lag: float, affected: int, size: int, answered: Sequence[float] = ()
) -> None:
    half, most = (answered[len(answered) // 2], answered[len(answered) * 99 // 100]) if answered else (0.0, 0.0)
    now = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024 / 1024
    memory = usage.getrusage(usage.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{name:34} p50 {half:5.2f} p99 {most:5.2f} all {seconds:6.2f} s {cpu:6.2f} s CPU {1000 * lag:5.0f} ms longest turn "
        f"{affected:5} affected {size / 1e6:8.2f} MB {now:5.0f} MiB now {memory:5.0f} at most",
        flush=True,
    )


def arguments(given: list[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(prog="tests.bench.ads_scale", description=__doc__)
    parser.add_argument("--proxies", type=int, default=1000)
    parser.add_argument("--services", type=int, default=100)
    parser.add_argument("--endpoints", type=int, default=3, help="of each service (default 3)")
    parser.add_argument("--scope", type=int, default=0, help="services that each proxy is told of (default: all)")
    parser.add_argument("--changes", type=int, default=0, help="of an endpoint, ten a second, at the end (default 0)")
    parser.add_argument("--processes", type=int, default=2, help="that the proxies are simulated in (default 2)")
    parser.add_argument("--whole", action="store_true", help="virtual hosts within their routes: no client knows VHDS")
    parser.add_argument("--connect", type=int, default=0, help=argparse.SUPPRESS)  # being such a process
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main() -> None:
    options = arguments()
    if options.connect:
        uvloop.run(proxies(options.connect, options.first, options.proxies, options.services, options.whole))
    else:
        uvloop.run(measure(options))


if __name__ == "__main__":
    main()
