"""`python -m tests.bench.micro_path`: a request through the sidecar's stations without a kernel, in µs.

Both transports are stubs, so that what is left is our own Python: parse, route, balance, render, account. The best of many
short rounds is printed, which is the figure least disturbed by a busy machine; `--profile` prints where the time goes.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import random
from time import perf_counter
from typing import Any

import uvloop

from mesh.node import Node
from sidecar.codec.h1_server import ServerConnection
from sidecar.config import model
from sidecar.runtime import Runtime
from sidecar.telemetry.stats import ListenerStats
from sidecar.upstream.host import Host

REQUEST = (
    b"GET /productpage?u=normal HTTP/1.1\r\nHost: productpage:9080\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    b"Accept-Encoding: gzip\r\nX-Custom: 1\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 24 Nov 2026 10:12:02 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 66\r\nConnection: keep-alive\r\n\r\n" + b"x" * 66
)


class StubTransport:
    """A transport that swallows what is written, and tells a peer that answers it."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.closing = False

    def write(self, data: bytes) -> None:
        if self.answer is not None:
            self.answer()

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1234) if name in ("peername", "sockname") else None

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


def plain() -> model.Hcm:
    """One route with a retry policy."""
    retry = model.RetryPolicy(frozenset(("5xx", "reset", "connect-failure")), attempts=2)
    action = model.Forward((model.WeightedCluster("up", 1),), retry=retry)
    route = model.Route(model.RouteMatch(model.PathMatch.PREFIX, "/"), action, name="default")
    routes = model.RouteConfig("r", (model.VirtualHost("v", ("*",), (route,)),))
    return model.Hcm("bench", (), routes=routes)


def mesh() -> model.Hcm:
    """200 virtual hosts of 10 routes, header operations, a JSON log, tracing of 1 %."""
    ops = model.HeaderOps((model.HeaderAdd(b"x-added", "1"),), (b"x-custom",))
    vhosts = []
    for host in range(200):
        names = (f"s{host}", f"s{host}:9080") if host else ("productpage", "productpage:9080")
        routes = tuple(
            model.Route(
                model.RouteMatch(model.PathMatch.PREFIX, f"/r{n}" if n < 9 else "/"),
                model.Forward((model.WeightedCluster("up", 1),), retry=model.RetryPolicy(frozenset(("5xx",)))),
                name=f"route-{n}",
                request_ops=ops,
            )
            for n in range(10)
        )
        vhosts.append(model.VirtualHost(f"v{host}", names, routes))
    log = model.AccessLog("/dev/null", json={"time": "%START_TIME%", "path": "%REQ(:PATH)%", "code": "%RESPONSE_CODE%"})
    return model.Hcm(
        "bench",
        (),
        routes=model.RouteConfig("r", tuple(vhosts)),
        access_logs=(log,),
        tracing=model.Tracing(random_chance=10_000),
    )


async def measure(name: str, config: model.Hcm, rounds: int, profile: bool) -> None:
    node = Node("sidecar", "127.0.0.1", "bench", labels={"app": "bench"})
    runtime = Runtime(model.Bootstrap(node.to_xds()), node)
    endpoint = model.LocalityEndpoints((model.Endpoint(model.Address("127.0.0.1", 1)),))
    runtime.set_cluster(
        model.Cluster(
            "up",
            model.Discovery.STATIC,
            model.Balancing(model.LbPolicy.LEAST_REQUEST),
            assignment=model.Assignment("up", (endpoint,)),
            outlier=model.OutlierDetection(),
        )
    )
    direction = model.Direction.OUTBOUND if name == "mesh" else model.Direction.UNSPECIFIED
    listener = model.Listener("l", model.Address("127.0.0.1", 1), (), direction=direction)
    manager = runtime._connection_manager(config, listener, ListenerStats(runtime.stats, "bench"))
    host: Host = runtime.clusters["up"].hosts[0]
    upstream = host.pool._make(host.pool)
    upstream.connection_made(StubTransport())
    host.pool._opened(upstream, runtime.clusters["up"].budget)
    downstream = ServerConnection(manager)
    downstream.connection_made(StubTransport())

    def batch(count: int) -> float:
        began = perf_counter()
        for _ in range(count):
            downstream.data_received(REQUEST)
            upstream.data_received(RESPONSE)
        return (perf_counter() - began) / count * 1e6

    batch(2000)
    best = []
    for _ in range(rounds):
        best.append(batch(1000))
        await asyncio.sleep(0)
    best.sort()
    print(f"{name:8} {best[0]:6.2f} µs best   {best[len(best) // 4]:6.2f} µs quartile")
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(batch, 20_000)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(32)
    await runtime.close()


async def both(rounds: int, *, profile: bool = False) -> None:
    for name, config in (("plain", plain()), ("mesh", mesh())):
        await measure(name, config, rounds, profile)


async def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.micro_path", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    random.seed(1)
    await both(options.rounds, profile=options.profile)


if __name__ == "__main__":
    uvloop.run(main())
