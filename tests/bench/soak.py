"""A bounded soak of one sidecar: everything that clients and upstreams can do to it, then a look at what is left.

    python -m tests.bench.soak                        # 200,000 requests, 10,000 + 2,000 connections, 1 GiB each way
    python -m tests.bench.soak --requests 1000000     # the figures of docs/robustness.md
    python -m tests.bench.soak --requests 20000 --mib 64 --idle 1000

The sidecar runs alone in a process of its own (`--serve`); clients and upstreams run in this one. The exit code is 1 when
a response was wrong, a gauge is not zero, a task is left, or memory grew by more than it may.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import re
import resource
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import uvloop

from mesh.node import Node
from sidecar.config import model
from sidecar.runtime import Runtime
from sidecar.telemetry.cells import Gauge
from tests.harness.ports import free_port

MIB = 1024 * 1024
MAX_GROWTH_MIB = 64
# Gauges that tell how things are, not what is in use.
STATES = re.compile("membership|circuit_breakers|total_listeners_active")
CHUNK = b"x" * 65536


# ── the sidecar ───────────────────────────────────────────────────────────────────────────────────────────────────────


def bootstrap(http: int, tcp: int, upstream: int, echo: int) -> model.Bootstrap:
    def cluster(name: str, *ports: int) -> model.Cluster:
        endpoints = tuple(model.Endpoint(model.Address("127.0.0.1", port)) for port in ports)
        return model.Cluster(
            name,
            model.Discovery.STATIC,
            assignment=model.Assignment(name, (model.LocalityEndpoints(endpoints),)),
            limits=model.Limits(4000, 4000, 4000, 4000),
            connect_timeout=5.0,
        )

    def forward(prefix: str, to: str, **fields: Any) -> model.Route:
        action = model.Forward((model.WeightedCluster(to, 1),), **fields)
        return model.Route(model.RouteMatch(model.PathMatch.PREFIX, prefix), action)

    retry = model.RetryPolicy(frozenset({"5xx", "connect-failure", "reset"}), attempts=2, base_interval=0.001)
    routes = (
        forward("/retry/", "up", retry=retry),
        forward("/refused", "nobody", retry=retry),
        forward("/hang", "up", timeout=0.3),
        forward("/", "up", timeout=0.0),
    )
    hcm = model.Hcm(
        "soak",
        (),
        routes=model.RouteConfig("soak", (model.VirtualHost("any", ("*",), routes),)),
        upgrades=frozenset({"websocket"}),
    )
    proxy = model.TcpProxy("soak", (model.WeightedCluster("echo", 1),))
    listeners = tuple(
        model.Listener(
            name, model.Address("127.0.0.1", port), (model.FilterChain("", model.FilterChainMatch(), network),)
        )
        for name, port, network in (("http", http, hcm), ("tcp", tcp, proxy))
    )
    clusters = (cluster("up", upstream), cluster("echo", echo), cluster("nobody", free_port()))
    return model.Bootstrap({"id": "sidecar~127.0.0.1~soak~local"}, listeners=listeners, clusters=clusters)


def left(runtime: Runtime) -> dict[str, Any]:
    """What is in use, by name, where it is not nothing; and memory."""
    found: dict[str, Any] = {
        stat.name: stat.cell.value
        for part in runtime.stats.parts()
        for stat in part
        if isinstance(stat.cell, Gauge) and stat.cell.value and not STATES.search(stat.name)
    }
    for cluster in runtime.clusters.values():
        for name in ("connections", "pending", "requests", "retries"):
            found[f"budget {cluster.name} {name}"] = getattr(cluster.budget, name)
        for host in cluster.hosts:
            found[f"host {host.name} active"] = host.active
            found[f"host {host.name} connections"] = host.connections
            found[f"host {host.name} waiting"] = len(host.pool.waiting)
            found[f"host {host.name} idle"] = len(host.pool.idle)
    found["request deadlines"] = len(runtime._http.active)
    found["idle deadlines"] = len(runtime._idle)
    found["tasks"] = len(asyncio.all_tasks()) - 1  # this one
    return {name: value for name, value in found.items() if value}


async def serve(ports: list[int]) -> None:
    """The sidecar's process: answers each line on stdin with a line of JSON; ends with stdin."""
    runtime = Runtime(bootstrap(*ports), Node("sidecar", "127.0.0.1", "soak"))
    await runtime.apply_static()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print("ready", flush=True)
    while line := await reader.readline():
        cycles = gc.collect() if line == b"collect\n" else 0
        usage = resource.getrusage(resource.RUSAGE_SELF)
        memory = {"cycles": cycles, "objects": len(gc.get_objects()), "cpu": usage.ru_utime + usage.ru_stime}
        print(json.dumps({"left": left(runtime), **memory}), flush=True)
    await runtime.close()


@dataclass(slots=True)
class Sidecar:
    """The sidecar's process, from outside."""

    process: subprocess.Popen[str]
    port: int
    tcp: int

    @classmethod
    def start(cls, upstream: int, echo: int) -> Sidecar:
        http, tcp = free_port(), free_port()
        command = [sys.executable, "-m", "tests.bench.soak", "--serve", *map(str, (http, tcp, upstream, echo))]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return cls(process, http, tcp)

    async def ask(self, what: str = "") -> dict[str, Any]:
        def talk() -> dict[str, Any]:
            assert self.process.stdin is not None
            assert self.process.stdout is not None
            self.process.stdin.write(what + "\n")
            self.process.stdin.flush()
            answer: dict[str, Any] = json.loads(self.process.stdout.readline())
            return answer

        return await asyncio.to_thread(talk)

    def rss(self, kind: str = "VmRSS") -> float:
        """MiB; `VmHWM` is the most there ever was."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith(kind + ":"))

    def forget_peak(self) -> None:
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as file:
            file.write("5")

    async def settled(self, seconds: float = 20.0) -> dict[str, Any]:
        """What is left, once nothing but idle upstream connections is, or after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            answer = await self.ask()
            kept = {name: value for name, value in answer["left"].items() if "idle" not in name}
            idle = sum(value for name, value in answer["left"].items() if name.startswith("host") and "idle" in name)
            busy = {
                name: value
                for name, value in kept.items()
                if value != idle or ("conn" not in name and "cx" not in name)
            }
            if not busy or time.monotonic() > end:
                return busy
            await asyncio.sleep(0.2)


# ── the upstream ──────────────────────────────────────────────────────────────────────────────────────────────────────

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def reset(writer: asyncio.StreamWriter) -> None:
    """RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def read_head(reader: asyncio.StreamReader) -> tuple[bytes, dict[bytes, bytes]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    pairs = (line.partition(b":") for line in lines if line)
    return first, {name.lower(): value.strip() for name, _, value in pairs}


async def pieces(
    reader: asyncio.StreamReader, headers: dict[bytes, bytes], take: Callable[[bytes], Awaitable[None]]
) -> None:
    """The body of a message, piece by piece."""
    if headers.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            while size:
                data = await reader.read(min(size, 65536))
                if not data:
                    raise asyncio.IncompleteReadError(b"", size)
                size -= len(data)
                await take(data)
            await reader.readline()
        await reader.readline()
        return
    size = int(headers.get(b"content-length", b"0"))
    while size:
        data = await reader.read(min(size, 65536))
        if not data:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(data)
        await take(data)


PRODUCED = [0]  # bytes of big bodies that somebody downstream of the upstream took


async def nowhere(_data: bytes) -> None:
    """Where bodies go that only have to be read."""


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of the upstream: the path says what it does."""
    try:
        while True:
            first, headers = await read_head(reader)
            if not await respond(first.split()[1], reader, writer, headers):
                return
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def respond(
    path: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[bytes, bytes]
) -> bool:
    """False when that was the connection's last answer."""
    kind = path.split(b"/")[-1]
    what, _, number = kind.partition(b"-")
    if what == b"deaf":
        await asyncio.sleep(float(number))
        return False
    if what in (b"early", b"reset", b"fin", b"hang") or (what == b"mostly" and random.random() < 0.3):
        if what == b"early":
            writer.write(b"HTTP/1.1 413 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno")
            await asyncio.sleep(0.05)
        elif what == b"hang":
            while await reader.read(65536):
                pass
        elif what == b"fin":
            return False
        reset(writer)
        return False
    if what == b"echo":
        body: list[bytes] = []

        async def keep(data: bytes) -> None:
            body.append(data)

        await pieces(reader, headers, keep)
        data = b"".join(body)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        if data:
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        writer.write(b"0\r\n\r\n")
        return True
    await pieces(reader, headers, nowhere)
    if what == b"503":
        writer.write(b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno")
    elif what == b"half":
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        await writer.drain()
        reset(writer)
        return False
    elif what == b"until":
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        return False
    elif what == b"big":
        left_over = int(number) * 1024
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % left_over)
        while left_over:
            writer.write(CHUNK[:left_over])
            left_over -= min(left_over, len(CHUNK))
            await writer.drain()
            PRODUCED[0] += len(CHUNK)
    else:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    return True


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The upstream of the TCP proxy."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
            if data.endswith(b"reset"):
                reset(writer)
    except OSError:
        pass
    finally:
        writer.close()


# ── the clients ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Load:
    """So many requests by so many clients; `wrong` are responses that should not have been."""

    sidecar: Sidecar
    requests: int
    done: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    async def client(self, seed: int) -> None:
        rng = random.Random(seed)
        scenarios = (self.pipelined, self.bodies, self.failures, self.leaver, self.slow_reader, self.tcp)
        while self.done < self.requests:
            scenario = rng.choices(scenarios, (30, 25, 20, 20, 2, 8))[0]
            try:
                async with asyncio.timeout(30):
                    streams = await asyncio.open_connection("127.0.0.1", self.port_of(scenario), limit=2**20)
                    try:
                        await scenario(rng, *streams)
                    finally:
                        streams[1].transport.abort()
            except TimeoutError:
                self.wrong[f"{scenario.__name__}: no end after 30 s"] += 1
            except (asyncio.IncompleteReadError, OSError) as error:
                self.seen[f"{scenario.__name__}: {type(error).__name__}"] += 1

    def port_of(self, scenario: Any) -> int:
        return self.sidecar.tcp if scenario == self.tcp else self.sidecar.port

    async def response(self, what: str, reader: asyncio.StreamReader, *statuses: bytes) -> bytes:
        first, headers = await read_head(reader)
        body: list[bytes] = []

        async def keep(data: bytes) -> None:
            body.append(data)

        await pieces(reader, headers, keep)
        self.done += 1
        status = first.split()[1]
        self.seen[f"{what}: {status.decode()}"] += 1
        if status not in statuses:
            self.wrong[f"{what}: {first.decode()}"] += 1
        return b"".join(body)

    async def pipelined(self, rng: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(rng.randrange(1, 10)):
            count = rng.randrange(1, 12)
            wire = b"GET /ok HTTP/1.1\r\nhost: a\r\n\r\n" * count
            cut = rng.randrange(len(wire))
            writer.write(wire[:cut])
            if rng.random() < 0.2:
                await asyncio.sleep(0)
            writer.write(wire[cut:])
            for _ in range(count):
                if await self.response("get", reader, b"200") != b"ok":
                    self.wrong["get: body"] += 1

    async def bodies(self, rng: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(rng.randrange(1, 6)):
            body = rng.randbytes(rng.choice((0, 10, 5000, 70_000, 300_000)))
            path = rng.choice((b"/echo", b"/retry/echo"))
            if rng.random() < 0.5:
                writer.write(b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (path, len(body), body))
            else:
                writer.write(b"POST %b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" % path)
                at = 0
                while at < len(body):
                    size = rng.randrange(1, 40_000)
                    piece = body[at : at + size]
                    at += size
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                writer.write(b"0\r\n\r\n")
            if await self.response("echo", reader, b"200") != body:
                self.wrong["echo: body"] += 1

    async def failures(self, rng: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path, statuses = rng.choice(
            (
                (b"/early", (b"413", b"503")),
                (b"/reset", (b"503", b"502")),
                (b"/fin", (b"503",)),
                (b"/hang", (b"504",)),
                (b"/half", (b"200",)),
                (b"/until", (b"200",)),
                (b"/retry/mostly", (b"200", b"503")),
                (b"/retry/503", (b"503",)),
                (b"/refused", (b"503",)),
                (b"/ok", (b"200",)),
            )
        )
        sizes = {b"/ok": (0,), b"/early": (2_000_000,)}.get(path, (0, 100, 200_000))
        body = b"x" * rng.choice(sizes)
        writer.write(b"PUT %b HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (path, len(body), body))
        await self.response(path.decode(), reader, *statuses)

    async def leaver(self, rng: random.Random, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Goes at any moment."""
        path = rng.choice((b"/ok", b"/hang", b"/refused", b"/big-300", b"/retry/503"))
        wire = b"POST %b HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n" % path + b"x" * 20_000
        writer.write(wire[: rng.choice((rng.randrange(100), len(wire)))])
        if rng.random() < 0.7:
            await asyncio.sleep(rng.random() * 0.02)
        if rng.random() < 0.5:
            reset(writer)
        self.done += 1
        self.seen["leaver"] += 1

    async def slow_reader(self, rng: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sizes = [rng.choice((100, 2000)) for _ in range(3)]
        writer.write(b"".join(b"GET /big-%d HTTP/1.1\r\nhost: a\r\n\r\n" % size for size in sizes))
        for size in sizes:
            await asyncio.sleep(rng.random() * 0.3)
            if len(await self.response("big", reader, b"200")) != size * 1024:
                self.wrong["big: body"] += 1

    async def tcp(self, rng: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = rng.randbytes(rng.choice((1, 100_000)))
        writer.write(data)
        if await reader.readexactly(len(data)) != data:
            self.wrong["tcp: bytes"] += 1
        ending = rng.choice(("fin", "gone", "reset"))
        if ending == "fin":
            writer.write_eof()
            if await reader.read() != b"":
                self.wrong["tcp: bytes behind the end"] += 1
        elif ending == "reset":
            writer.write(b"reset")
            await reader.read()
        self.done += 1
        self.seen[f"tcp: {ending}"] += 1


# ── what is measured ──────────────────────────────────────────────────────────────────────────────────────────────────


async def mixed(sidecar: Sidecar, requests: int, clients: int) -> Load:
    load = Load(sidecar, requests)
    await asyncio.gather(*(load.client(seed) for seed in range(clients)))
    return load


async def gibibyte(sidecar: Sidecar, mib: int, *, up: bool) -> float:
    """The most memory that a body of so many MiB cost beyond what there was."""
    reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
    before = sidecar.rss()
    sidecar.forget_peak()
    if up:
        writer.write(b"POST /sink HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(mib):
            writer.write(b"%x\r\n" % MIB + CHUNK * 16 + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")
    else:
        writer.write(b"GET /big-%d HTTP/1.1\r\nhost: a\r\n\r\n" % (mib * 1024))
    first, headers = await read_head(reader)
    assert first.split()[1] == b"200", first
    await pieces(reader, headers, nowhere)
    writer.close()
    return sidecar.rss("VmHWM") - before


async def many(sidecar: Sidecar, connections: int) -> tuple[float, int]:
    """KiB a connection, and how many of so many that are open at the same time get an answer."""
    before = sidecar.rss()
    streams = await open_connections(sidecar, connections)
    for _, writer in streams:
        writer.write(b"GET /ok HTTP/1.1\r\nhost: a\r\n\r\n")
    heads = await asyncio.gather(*(read_head(reader) for reader, _ in streams))
    cost = (sidecar.rss() - before) * 1024 / connections
    for _, writer in streams:
        writer.transport.abort()
    return cost, sum(first.split()[1] == b"200" for first, _ in heads)


async def open_connections(sidecar: Sidecar, count: int) -> list[Streams]:
    streams: list[Streams] = []
    for at in range(0, count, 100):
        opening = (asyncio.open_connection("127.0.0.1", sidecar.port) for _ in range(min(100, count - at)))
        streams += await asyncio.gather(*opening)
    return streams


async def idle_ones(sidecar: Sidecar, count: int) -> tuple[float, list[Streams]]:
    """KiB a connection that says nothing, and the connections."""
    before = sidecar.rss()
    streams = await open_connections(sidecar, count)
    await asyncio.sleep(0.5)
    return (sidecar.rss() - before) * 1024 / max(count, 1), streams


async def held_back(sidecar: Sidecar, seconds: float = 3.0) -> tuple[float, float]:
    """MiB that get through in a few seconds to a client that reads nothing, and to an upstream that reads nothing."""
    PRODUCED[0] = 0
    _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET /big-%d HTTP/1.1\r\nhost: a\r\n\r\n" % 1024**2)
    await asyncio.sleep(seconds)
    down = PRODUCED[0] / MIB
    writer.transport.abort()
    _, writer = await asyncio.open_connection("127.0.0.1", sidecar.port)
    writer.write(b"POST /deaf-%d HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (seconds + 2, 1024**3))
    sent = 0
    try:
        async with asyncio.timeout(seconds):
            while sent < 1024**3:
                writer.write(CHUNK)
                await writer.drain()
                sent += len(CHUNK)
    except TimeoutError:
        pass
    writer.transport.abort()
    return down, sent / MIB


async def run(options: argparse.Namespace) -> int:
    faults: list[str] = []
    loop_upstream = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096, limit=2**20)
    loop_echo = await asyncio.start_server(echo, "127.0.0.1", 0, backlog=4096)
    sidecar = Sidecar.start(*(server.sockets[0].getsockname()[1] for server in (loop_upstream, loop_echo)))
    try:
        rounds: list[float] = []
        for part in range(5):  # the first one warms everything up
            began = time.monotonic()
            load = await mixed(sidecar, options.requests // 5, options.clients)
            busy = await sidecar.settled()
            rounds.append(sidecar.rss())
            state = await sidecar.ask()
            seconds = time.monotonic() - began
            print(
                f"round {part + 1}: {load.done} requests in {seconds:.0f} s, {rounds[-1]:.1f} MiB, "
                f"{state['objects']} objects, CPU {state['cpu']:.1f} s, left {busy or 'nothing'}"
            )
            if busy:
                faults.append(f"left in use: {busy}")
            if load.wrong:
                faults.append(f"wrong: {dict(load.wrong)}")
            for name, count in sorted(load.seen.items()) if part == 0 else ():
                print(f"    {count:6} {name}")
        if rounds[-1] - rounds[0] > options.growth:
            faults.append(f"memory grew from {rounds[0]:.1f} to {rounds[-1]:.1f} MiB after the first round")
        print(f"cycles for the collector: {(await sidecar.ask('collect'))['cycles']}")
        print(f"idle, before anything else below: {sidecar.rss():.1f} MiB")
        for up in (True, False):
            growth = await gibibyte(sidecar, options.mib, up=up)
            print(f"{options.mib} MiB {'up' if up else 'down'}: {growth:.1f} MiB more at most")
            if growth > MAX_GROWTH_MIB:
                faults.append(f"a body of {options.mib} MiB took {growth:.1f} MiB")
        each, idle = await idle_ones(sidecar, options.idle)
        print(f"{len(idle)} idle connections, {each:.1f} KiB each")
        cost, answered = await many(sidecar, options.connections)
        print(f"{answered} of {options.connections} open connections answered, {cost:.1f} KiB each")
        if answered != options.connections:
            faults.append("connections without an answer")
        for reader, writer in idle[:: max(1, len(idle) // 100)]:
            writer.write(b"GET /ok HTTP/1.1\r\nhost: a\r\n\r\n")
            if (await read_head(reader))[0].split()[1] != b"200":
                faults.append("an idle connection without an answer")
        for _, writer in idle:
            writer.transport.abort()
        for to, mib in zip(("client", "upstream"), await held_back(sidecar), strict=True):
            print(f"to {'a' if to == 'client' else 'an'} {to} that reads nothing: {mib:.1f} MiB, then no more")
            if mib > MAX_GROWTH_MIB:
                faults.append(f"{mib:.1f} MiB for nobody")
        if busy := await sidecar.settled():
            faults.append(f"left in use: {busy}")
    finally:
        assert sidecar.process.stdin is not None
        sidecar.process.stdin.close()
        sidecar.process.wait(20)
        for server in (loop_upstream, loop_echo):
            server.close()
    for fault in faults:
        print(f"FAULT {fault}")
    return 1 if faults else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--idle", type=int, default=10_000, help="connections that only are there, besides")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument(
        "--growth", type=float, default=8.0, help="MiB between the first round's end and the last one's"
    )
    parser.add_argument("--serve", type=int, nargs=4, metavar="PORT", help="internal: be the sidecar")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (min(max(soft, 4 * options.connections + 2 * options.idle + 1000), hard), hard)
    )
    if options.serve:
        uvloop.run(serve(options.serve))
        return
    sys.exit(uvloop.run(run(options)))


if __name__ == "__main__":
    main()
