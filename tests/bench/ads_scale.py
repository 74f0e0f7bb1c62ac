"""`python -m tests.bench.ads_scale`: what changes cost the control plane, and how long they take to reach many proxies.

Proxies with a connection each, in other processes; the real translation of a World of `--services` services over real
sockets. A line for each event: seconds until half, 99 in 100 and all of the proxies have acknowledged it (without the
debounce), CPU seconds of the control plane, bytes sent, the longest time that its loop did not come round, and its memory:
once it has been quiet for `--quiet` seconds, and at most until then.
`--matrix` runs the shapes that docs/pushes.md shows, each in a process of its own; `--write FILE` makes that page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import uvloop

from control_plane.ads.hub import PushHub
from control_plane.ads.pace import Pace
from control_plane.ads.push import Variant
from control_plane.ads.server import AdsServer
from control_plane.ads.status import NoMetrics
from control_plane.ads.stream import ProxyStream, Write
from control_plane.ads.subscription import Request
from control_plane.translate import Translator
from control_plane.world import World
from mesh.node import Node
from mesh.tasks import TaskOwner
from tests.bench.push_clients import KINDS
from tests.bench.push_world import nothing, one_endpoint, one_route, one_service_less, one_service_more, world

WAIT_SECONDS: Final = 180.0
CHANGES: Final[tuple[tuple[str, Callable[[World], World]], ...]] = (
    ("one endpoint", one_endpoint),
    ("one endpoint again", one_endpoint),
    ("one route", one_route),
    ("that route changed", one_route),
    ("one service more", one_service_more),
    ("nothing", nothing),
    ("that service less", one_service_less),
)
A_SECOND: Final = 10  # changes of an endpoint, when they follow one another


@dataclass(frozen=True, slots=True)
class Row:
    """One event. Seconds, CPU seconds, bytes, and megabytes of memory: after it, and at most."""

    event: str
    p50: float
    p99: float
    seconds: float
    cpu: float
    sent: int
    turn: float
    rss: float
    peak: float
    proxies: int

    def line(self) -> str:
        return (
            f"{self.event:22} p50 {self.p50:6.2f} p99 {self.p99:6.2f} all {self.seconds:6.2f} s  {self.cpu:6.2f} CPU s "
            f"{self.sent / 1e6:8.2f} MB sent  turn {1000 * self.turn:4.0f} ms  RSS {self.rss:4.0f} MB, "
            f"at most {self.peak:4.0f}"
        )


# ── the control plane ─────────────────────────────────────────────────────────────────────────────────────────────────


class Sent(NoMetrics):
    """Counts the bytes of responses."""

    def __init__(self) -> None:
        self.bytes = 0

    def sent(self, type_name: str, size: int, due_seconds: float, seconds: float) -> None:
        self.bytes += size


class TimedHub(PushHub):
    """Notes when each proxy's last answer came, and how many have joined."""

    def __init__(self, metrics: Sent) -> None:
        super().__init__(Translator().build, metrics=metrics, pace=Pace())
        self.joined = 0
        self._began = 0.0
        self._at: dict[str, float] = {}

    def begin(self) -> None:
        self._began, self._at, self.joined = time.monotonic(), {}, 0

    def join(self, node: Node, variant: Variant, write: Write) -> ProxyStream:
        self.joined += 1
        return super().join(node, variant, write)

    def received(self, stream: ProxyStream, request: Request) -> None:
        super().received(stream, request)
        self._at[stream.id] = time.monotonic() - self._began

    def answered(self) -> list[float]:
        """Seconds since `begin`, one for each proxy that said anything, the fastest first."""
        return sorted(self._at.values())

    def in_sync(self, count: int) -> bool:
        known = self.proxies()
        states = [[s.state for s in one.types.values() if s.state != "NOT SENT"] for one in known]
        return len(known) == count and all(len(each) >= 4 and set(each) == {"SYNCED"} for each in states)


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


class Bench:
    """A control plane, the processes with its clients, and what has been measured so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.rows: list[Row] = []
        self.current = world(1, options.services, options.endpoints, options.scope)
        self._lag = LoopLag()
        self._tasks = TaskOwner("bench")
        self._children: list[asyncio.subprocess.Process] = []
        self._sent = Sent()
        self._hub = TimedHub(self._sent)
        self._server = AdsServer(self._hub, "127.0.0.1:0")

    async def run(self) -> None:
        self._tasks.start(self._lag.run())
        try:
            await self._events()
        finally:
            await self._tasks.close()
            await self._server.stop()

    async def _events(self) -> None:
        options = self.options
        await self._server.start()
        self._hub.publish(self.current)
        async with self._clients():
            async with self._event("first push"):
                await self._in_sync(options.proxies)
            for name, change in CHANGES:
                async with self._event(name):
                    self.current = replace(change(self.current), revision=self.current.revision + 1)
                    self._hub.publish(self.current)
                    await self._hub.convergence(self.current.revision, WAIT_SECONDS)
            for name, share in (("a fifth lose their stream", 5), ("all lose their stream", 1)):
                async with self._event(name):
                    await self._in_sync(await self._drop(share))
            async with self._event("control plane restarts"):
                await self._restart()
                await self._in_sync(options.proxies)
            if options.seconds:
                await self._steady()

    @asynccontextmanager
    async def _event(self, name: str) -> AsyncIterator[None]:
        forget_peak()
        self._lag.take()
        self._hub.begin()
        sent, cpu, began = self._sent.bytes, time.process_time(), time.monotonic()
        yield
        seconds = time.monotonic() - began
        spent, answered = time.process_time() - cpu, self._hub.answered()
        bytes_sent, turn = self._sent.bytes - sent, self._lag.take()
        half, most = quantile(answered, 0.5), quantile(answered, 0.99)
        await asyncio.sleep(self.options.quiet)  # nobody makes two changes at once
        memory = status("VmRSS"), status("VmHWM")
        row = Row(name, half, most, seconds, spent, bytes_sent, turn, *memory, len(answered))
        self.rows.append(row)
        print(row.line(), flush=True)

    async def _in_sync(self, joined: int) -> None:
        """Until so many have joined and everybody has everything."""
        async with asyncio.timeout(WAIT_SECONDS):
            while self._hub.joined < joined or not self._hub.in_sync(self.options.proxies):
                await asyncio.sleep(0.2)
                if any(child.returncode is not None for child in self._children):
                    raise RuntimeError("a process with clients has ended")

    async def _drop(self, share: int) -> int:
        """Ends one stream in `share`; how many those are."""
        counts = [-(-each // share) for each in self._shares()]
        for child, count in zip(self._children, counts, strict=True):
            assert child.stdin is not None
            child.stdin.write(f"drop {count}\n".encode())
        return sum(counts)

    async def _restart(self) -> None:
        """Another control plane that knows nothing, on the same port."""
        port = self._server.port
        await self._server.stop()
        self._hub = TimedHub(self._sent)
        self._hub.begin()
        self._server = AdsServer(self._hub, f"127.0.0.1:{port}")
        self._hub.publish(replace(self.current))
        await self._server.start()

    async def _steady(self) -> None:
        changes = round(self.options.seconds * A_SECOND)
        async with self._event(f"{A_SECOND} endpoints a second"):
            began = time.monotonic()
            for n in range(changes):
                self.current = replace(one_endpoint(self.current), revision=self.current.revision + 1)
                self._hub.publish(self.current)
                await asyncio.sleep(max(0.0, began + (n + 1) / A_SECOND - time.monotonic()))
            await self._hub.convergence(self.current.revision, WAIT_SECONDS)
        row = self.rows[-1]
        print(f"  {row.cpu / row.seconds:.2f} of a processor", flush=True)

    def _shares(self) -> list[int]:
        count, processes = self.options.proxies, self.options.processes
        each = -(-count // processes)
        return [min(each, count - first) for first in range(0, count, each)]

    @asynccontextmanager
    async def _clients(self) -> AsyncIterator[None]:
        options, first = self.options, 0
        command = [sys.executable, "-m", "tests.bench.push_clients", "--port", str(self._server.port)]
        command += ["--services", str(options.services), "--client", options.client]
        for count in self._shares():
            child = await asyncio.create_subprocess_exec(
                *command, "--first", str(first), "--proxies", str(count), stdin=asyncio.subprocess.PIPE
            )
            self._children.append(child)
            first += count
        try:
            yield
        finally:
            for child in self._children:
                if child.returncode is None:
                    child.kill()
                await child.wait()


def status(name: str) -> float:
    """Megabytes, of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) * 1024 / 1e6


def forget_peak() -> None:
    """From now on the most memory (VmHWM) is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


# ── the command ───────────────────────────────────────────────────────────────────────────────────────────────────────


def arguments(given: Sequence[str] | None = None) -> Any:
    parser = argparse.ArgumentParser(prog="tests.bench.ads_scale", description=__doc__)
    parser.add_argument("--proxies", type=int, default=200, help="(default 200)")
    parser.add_argument("--services", type=int, default=1000, help="(default 1000)")
    parser.add_argument("--endpoints", type=int, default=3, help="of each service (default 3)")
    parser.add_argument("--scope", type=int, default=0, help="services that each proxy is told of (default: all)")
    parser.add_argument("--client", choices=KINDS, default="delta", help="(default: delta)")
    parser.add_argument(
        "--seconds", type=float, default=0, help=f"of {A_SECOND} changes a second, at the end (default 0)"
    )
    parser.add_argument("--quiet", type=float, default=5, help="seconds between two events (default 5)")
    parser.add_argument("--processes", type=int, default=2, help="that the proxies are in (default 2)")
    parser.add_argument("--results", type=Path, help="a JSON file for the rows")
    parser.add_argument("--matrix", action="store_true", help="all shapes, one after the other")
    parser.add_argument("--shapes", nargs="*", help="of the matrix: SERVICESxPROXIES[/SCOPE][:CLIENT] (default: all)")
    parser.add_argument("--write", type=Path, help="with --matrix: the page, docs/pushes.md")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    options = arguments(given)
    if options.matrix:
        from tests.bench.push_matrix import matrix

        matrix(options)
        return
    bench = Bench(options)
    uvloop.run(bench.run())
    if options.results:
        options.results.write_text(json.dumps([asdict(row) for row in bench.rows]))


if __name__ == "__main__":
    main()
