"""What experiments cost: `python -m tests.bench.collecting [PROXIES]`, the share of a core that looking at proxies takes.

A process serves the pages of so many proxies, one loopback address each, with counters that grow; the control plane's own
collector and meter look at all of them, as they do every five seconds. The CPU time of the looking process is measured.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from multiprocessing.synchronize import Event
from typing import Any

import aiohttp

from control_plane.experiments.collector import ProxyCollector
from control_plane.registry.workload import Workload
from mesh.experiments.samples import Meter, Selection
from mesh.experiments.traffic import ISTIO_BOUNDS
from mesh.node import Node

PORT = 15090
LOOKS = 10
INTERVAL = 5.0
DESTINATIONS = 5  # services that each proxy calls
VERSIONS = ("v1", "v3")
CODES = ("200", "503")
SELECTION = Selection("service-0.default.svc.cluster.local")
LABELS = (
    'reporter="source",source_workload="caller-v1",source_canonical_service="caller",source_canonical_revision="v1",'
    'source_workload_namespace="default",source_principal="unknown",source_app="caller",source_version="v1",'
    'source_cluster="Kubernetes",destination_workload="{service}-{version}",destination_workload_namespace="default",'
    'destination_principal="unknown",destination_app="{service}",destination_version="{version}",'
    'destination_service="{service}.default.svc.cluster.local",destination_canonical_service="{service}",'
    'destination_canonical_revision="{version}",destination_service_name="{service}",'
    'destination_service_namespace="default",destination_cluster="Kubernetes",request_protocol="http",'
    'response_code="{code}",grpc_response_status="",response_flags="-",connection_security_policy="unknown"'
)


def address(index: int) -> str:
    return f"127.88.{index // 200}.{index % 200 + 1}"


def page(look: int) -> str:
    """One proxy's: as many series as a sidecar has that calls a few services."""
    lines = []
    for service in (f"service-{index}" for index in range(DESTINATIONS)):
        for version in VERSIONS:
            for code in CODES:
                labels = LABELS.format(service=service, version=version, code=code)
                count = 100 * look if code == "200" else look
                lines.append(f"istio_requests_total{{{labels}}} {count}")
                buckets = [*(f"{bound:g}" for bound in ISTIO_BOUNDS), "+Inf"]
                name = "istio_request_duration_milliseconds_bucket"
                lines += [f'{name}{{{labels},le="{bound}"}} {count}' for bound in buckets]
    return "\n".join(lines) + "\n"


def serve(proxies: int, ready: Event) -> None:
    asyncio.run(_serve(proxies, ready))


async def _serve(proxies: int, ready: Event) -> None:
    body = page(1).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    class Page(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answer)

    loop = asyncio.get_running_loop()
    for index in range(proxies):
        await loop.create_server(Page, address(index), PORT)
    ready.set()
    await asyncio.Event().wait()


async def look(proxies: int) -> None:
    workloads = [
        Workload(Node("sidecar", address(index), f"proxy-{index}", metrics_port=PORT)) for index in range(proxies)
    ]
    async with aiohttp.ClientSession(trust_env=False) as session:
        collector, meter = ProxyCollector(session, lambda: workloads), Meter()
        pages = await collector.look(SELECTION)
        assert len(pages) == proxies, f"{len(pages)} of {proxies} proxies answered"
        meter.take(pages)
        began, worst = time.process_time(), 0.0
        for _ in range(LOOKS):
            before = time.process_time()
            meter.take(await collector.look(SELECTION))
            worst = max(worst, time.process_time() - before)
        each = (time.process_time() - began) / LOOKS
    series = page(1).count("\n")
    print(f"{proxies} proxies, {series} series of {len(page(1)) // 1024} KiB each, a look every {INTERVAL:g} s")
    print(
        f"CPU of a look: {1000 * each:.0f} ms (at most {1000 * worst:.0f} ms): {100 * each / INTERVAL:.1f} % of a core"
    )


def main() -> None:
    proxies = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    server = context.Process(target=serve, args=(proxies, ready), daemon=True)
    server.start()
    try:
        if not ready.wait(30):
            raise SystemExit("the pages are not served")
        import uvloop

        uvloop.run(look(proxies))
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
