"""`python -m tests.bench.receiving`: what many services cost the proxy that is told of them, ours and a real Envoy in turn.

A control plane of ours tells a proxy of `--services` services; requests go through it at a steady rate, first in peace,
then while an endpoint and a route of another service change several times a second. Seconds and CPU seconds until it is
ready, its memory, the latency of requests, and the CPU time of a change. `--write FILE` puts the table on docs/pushes.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import uvloop

from control_plane.ads.hub import PushHub
from control_plane.ads.server import AdsServer
from control_plane.translate import Translator
from control_plane.world import World
from mesh.bootstrap import Ports, bootstrap
from mesh.naming import inbound_port
from mesh.node import Node
from mesh.tasks import TaskOwner
from sidecar.process import native
from tests.bench.ads_scale import quantile
from tests.bench.proxies import ENVOY, OURS, started_from
from tests.bench.push_page import machine, put, table
from tests.bench.push_world import instance, node, one_endpoint, one_route, world

READY_SECONDS: Final = 300.0
READY_POLL: Final = 0.2  # each answer costs the proxy some of the CPU time that is measured
A_SECOND: Final = 100  # requests
APART: Final = 0.2  # seconds between two changes
CALLED: Final = "service-1"  # what changes is service-0
ENDPOINTS: Final = 3
ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds, CPU seconds and megabytes; milliseconds of latency; milliseconds of CPU for a change."""

    ready: float
    ready_cpu: float
    rss: float
    p99_quiet: float
    p99_changing: float
    change_ms: float
    rss_after: float
    errors: int


# ── both ends of the requests, in processes of their own ──────────────────────────────────────────────────────────────


class Answers(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def upstream() -> None:
    hosts = [instance(CALLED, 1, n).address for n in range(ENDPOINTS)]
    server = await asyncio.get_running_loop().create_server(Answers, hosts, inbound_port(0))
    print("ready", flush=True)
    await server.serve_forever()


async def load(address: str, port: int, seconds: float) -> None:
    """One request after the other at a steady rate; one that begins late counts from when it should have."""
    request = f"GET http://{CALLED}:9080/ HTTP/1.1\r\nhost: {CALLED}:9080\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection(address, port)
    began, latencies, errors = time.monotonic(), [], 0
    for n in range(int(seconds * A_SECOND)):
        due = began + n / A_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        errors += not head.startswith(b"HTTP/1.1 200")
        latencies.append(time.monotonic() - due)
    print(json.dumps({"latencies": sorted(latencies), "errors": errors}), flush=True)


@asynccontextmanager
async def child(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "tests.bench.receiving", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=2**24)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# ── the proxy ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Watched:
    """A process from outside."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def cpu(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def rss(self) -> float:
        return int((self._folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}:{Ports().admin}/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def sample(name: str, number: int, services: int, seconds: float, folder: Path) -> Sample | None:
    """None when that proxy is not to be had."""
    hub = PushHub(Translator().build)
    server = AdsServer(hub, "127.0.0.1:0")
    await server.start()
    current = world(1, services, ENDPOINTS)
    hub.publish(current)
    proxy = node(number, services)
    config = bootstrap(proxy, "127.0.0.1", server.port, Ports())
    kept = [] if name == ENVOY else ["--state-dir", str(folder / f"state of {services}")]  # nothing of before
    command = await asyncio.to_thread(started_from, name, config, folder / f"{name}.yaml", *kept)
    if command is None:
        return None
    changes = TaskOwner("changes")
    log = (folder / f"{name}.log").open("wb")
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, stdin=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(is_ready, proxy.address):
                if process.returncode is not None:
                    raise RuntimeError(f"{name} has ended: {(folder / f'{name}.log').read_text()[-2000:]}")
                await asyncio.sleep(READY_POLL)
        ready, watched = time.monotonic() - began, Watched(process.pid)
        ready_cpu, rss = watched.cpu, watched.rss
        quiet, before, errors = await under_load(proxy, seconds, watched)
        idle = 1000 * quantile(quiet, 0.99)
        changes.start(keep_changing(hub, current))
        changing, spent, more = await under_load(proxy, seconds, watched)
        await changes.close()
        return Sample(
            ready,
            ready_cpu,
            rss,
            idle,
            1000 * quantile(changing, 0.99),
            1000 * max(0.0, spent - before) * APART / seconds,
            watched.rss,
            errors + more,
        )
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await server.stop()


async def under_load(proxy: Node, seconds: float, watched: Watched) -> tuple[Sequence[float], float, int]:
    """Latencies, the proxy's CPU seconds meanwhile, errors."""
    before = watched.cpu
    command = [sys.executable, "-m", "tests.bench.receiving", "--load", proxy.address, "--seconds", str(seconds)]
    # Not by the loop: a process that it forks while threads of grpc are busy may not live to see its program.
    done = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    return found["latencies"], watched.cpu - before, found["errors"]


async def keep_changing(hub: PushHub, current: World) -> None:
    """An endpoint and a route in turn."""
    changes = (one_endpoint, one_route)
    while True:
        current = replace(changes[current.revision % 2](current), revision=current.revision + 1)
        hub.publish(current)
        await asyncio.sleep(APART)


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def measure(options: argparse.Namespace) -> dict[int, dict[str, Sample]]:
    found: dict[int, dict[str, Sample]] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with child("--upstream") as process:
            assert process.stdout is not None
            await process.stdout.readline()
            for services in options.services:
                rows = found[services] = {}
                for number, name in enumerate((ENVOY, OURS), start=2):
                    taken = await sample(name, number, services, options.seconds, Path(folder))
                    if taken is not None:
                        rows[name] = taken
                        print(services, name, json.dumps(asdict(taken)), flush=True)
    return found


LABELS: Final = {
    "ready": "ready after, s",
    "ready_cpu": "CPU until then, s",
    "rss": "RSS then, MB",
    "p99_quiet": "p99 in peace, ms",
    "p99_changing": "p99 while it changes, ms",
    "change_ms": "CPU of a change, ms",
    "rss_after": "RSS at the end, MB",
    "errors": "errors",
}


def as_table(found: dict[int, dict[str, Sample]]) -> str:
    kind = "compiled" if native.active() else "as Python"
    lines = []
    for services, rows in found.items():
        for key, label in LABELS.items():
            envoy, ours = (getattr(rows[name], key) if name in rows else None for name in (ENVOY, OURS))
            ratio = f"{ours / envoy:.1f}" if envoy and ours is not None and key != "errors" else ""
            cells = ["" if value is None else f"{value:.4g}" for value in (envoy, ours)]
            lines.append((f"{services:,}", label, *cells, ratio))
    return table(("services", "", "Envoy", f"ours, {kind}", "ratio"), lines)


_HOW: Final = f"""\
{A_SECOND} requests a second through the proxy, and five changes a second (an endpoint, then a route of another service).

```sh
.venv/bin/python -m tests.bench.receiving --write docs/pushes.md
```

"""


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.receiving", description=__doc__)
    parser.add_argument("--services", type=int, nargs="*", default=[1000, 5000], help="(default 1000 5000)")
    parser.add_argument("--seconds", type=float, default=10, help="of each of both phases (default 10)")
    parser.add_argument("--write", type=Path, help="the page, docs/pushes.md")
    parser.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)  # being such a process
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.upstream:
        uvloop.run(upstream())
    elif options.load:
        uvloop.run(load(options.load, Ports().outbound, options.seconds))
    else:
        found = as_table(uvloop.run(measure(options)))
        print(f"\n{found}")
        if options.write:
            heading = f"What many services cost a proxy ({'compiled' if native.active() else 'as Python'})"
            put(options.write, heading, f"{_HOW}{found}\n{machine()}")


if __name__ == "__main__":
    main()
