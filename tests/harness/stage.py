"""The data plane without sockets or a clock: connections are `Wire`s, time moves when a test says so.

    stage = Stage(clock)
    client = stage.client()
    client.sends(b"GET / HTTP/1.1\\r\\nhost: a\\r\\n\\r\\n")
    upstream = await stage.upstream()
    upstream.sends(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
    assert client.received().startswith(b"HTTP/1.1 204")
    await stage.leaves_nothing()

A wire behaves as uvloop's transports do, where that matters: `connection_lost` comes later than `close`, a paused
transport hears nothing, what is written after `connection_lost` raises, and FIN behind bytes that the peer does not take
waits for them.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from mesh.node import Node
from mesh.tasks import TaskOwner
from sidecar.codec.h1_server import ServerConnection
from sidecar.config.model import (
    Address,
    Assignment,
    Cluster,
    Direction,
    Discovery,
    Endpoint,
    Forward,
    Hcm,
    LocalityEndpoints,
    PathMatch,
    RetryPolicy,
    Route,
    RouteConfig,
    RouteMatch,
    TcpProxy,
    VirtualHost,
    WeightedCluster,
)
from sidecar.http.connection_manager import ConnectionManager
from sidecar.http.exchange import Exchange
from sidecar.http.stream_context import ManagerContext
from sidecar.listener.tcp import TcpManager, TcpSession
from sidecar.process.timers import Deadlines
from sidecar.telemetry.cells import Gauge
from sidecar.telemetry.stats import Stats
from sidecar.upstream.cluster import ClusterRuntime, UpstreamContext
from sidecar.upstream.manager import ClusterManager
from tests.harness.playbook import FakeTransport

HIGH_WATER, LOW_WATER = 64 * 1024, 16 * 1024

# Gauges that tell how things are, not what is in use: a limit of 0 is reached for good.
_STATES = re.compile("membership|circuit_breakers|total_listeners_active")


class Timer:
    """What `call_later` returns."""

    def __init__(self, act: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._act, self._args = act, args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def run(self) -> None:
        if not self.cancelled:
            self._act(*self._args)


class ManualLoop:
    """The part of an event loop that the data plane uses. `now` moves by `advance`; what is due runs in order."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.dials: deque[Dial] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, act: Callable[..., object], *args: Any) -> Timer:
        timer = Timer(act, args)
        heapq.heappush(self._timers, (self.now + delay, next(self._numbers), timer))
        return timer

    def call_soon(self, act: Callable[..., object], *args: Any) -> None:
        self._soon.append((act, args))

    def run_ready(self) -> None:
        """One round: what was ready when it began."""
        for _ in range(len(self._soon)):
            act, args = self._soon.popleft()
            act(*args)

    @property
    def timers(self) -> list[Timer]:
        """Those that will still run."""
        return [timer for _, _, timer in self._timers if not timer.cancelled]

    @property
    def is_ready(self) -> bool:
        return bool(self._soon)

    def advance(self, seconds: float) -> None:
        """Moves the clock, stopping at every timer on the way."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _, timer = heapq.heappop(self._timers)
            timer.run()
            while self._soon:
                self.run_ready()
        self.now = end

    async def create_connection(
        self, make: Callable[[], asyncio.Protocol], host: str, port: int, *, local_addr: Any = None
    ) -> Any:
        dial = Dial(self, make, Address(host, port))
        self.dials.append(dial)
        return await dial.answer


class Dial:
    """A connection attempt that waits for the test's answer."""

    def __init__(self, loop: ManualLoop, make: Callable[[], asyncio.Protocol], address: Address) -> None:
        self._loop = loop
        self._make = make
        self.address = address
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def accepts(self, **limits: int) -> Wire:
        protocol = self._make()
        wire = Wire(self._loop, protocol, (self.address.host, self.address.port), **limits)
        protocol.connection_made(wire)
        self.answer.set_result((wire, protocol))
        return wire

    def refuses(self, error: OSError | TimeoutError | None = None) -> None:
        self.answer.set_exception(error or ConnectionRefusedError(111, "Connection refused"))


class Socket:
    """What of a transport's socket is used directly."""

    def __init__(self) -> None:
        self.options: list[tuple[int, int, Any]] = []
        self.closed = False

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        if self.closed:
            raise OSError(9, "Bad file descriptor")
        self.options.append((level, option, value))


class Wire(FakeTransport):
    """A connection as a proxy's protocol has it; the test is the peer. The peer takes what is written at once while
    `reads`, else it stays in the transport's buffer, and the protocol is told when that is full."""

    def __init__(
        self, loop: ManualLoop, protocol: asyncio.Protocol, peer: tuple[str, int] = ("10.0.0.9", 40000), **limits: int
    ) -> None:
        super().__init__(peer=peer)
        self._extra["socket"] = self.socket = Socket()
        self.protocol = protocol
        self.reads = True
        self.lost = False
        self.finished = False  # FIN sent
        self._loop = loop
        self._high = limits.get("high", HIGH_WATER)
        self._low = limits.get("low", LOW_WATER)
        self._buffer = b""  # written, not yet taken by the peer
        self._taken = b""
        self._blocked = False
        self._incoming: deque[bytes | None] = deque()  # None is FIN

    # what the protocol does
    def write(self, data: Any) -> None:
        if self.lost:
            raise RuntimeError("unable to perform operation on a transport that is closed")
        if self.finished:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._gone or not data:
            return
        if self.reads:
            self._taken += bytes(data)
            return
        self._buffer += bytes(data)
        if len(self._buffer) > self._high and not self._blocked:
            self._blocked = True
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        self.finished = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol  # type: ignore[assignment]

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    @property
    def _gone(self) -> bool:
        return self.lost or (self._closing and not self._buffer)

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._buffer:
                self._loop.call_soon(self._lose, None)

    def abort(self) -> None:
        if not self.lost:
            self._closing = True
            self._buffer = b""
            self._loop.call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self._closing = self.socket.closed = True
            protocol, self.protocol = self.protocol, asyncio.Protocol()  # uvloop's lets go of it, too
            protocol.connection_lost(error)

    def resume_reading(self) -> None:
        super().resume_reading()
        if self._incoming:
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._incoming and self._reading and not self._closing:
            data = self._incoming.popleft()
            if data is not None:
                self.protocol.data_received(data)
            elif not self.protocol.eof_received():
                self.close()

    # what the peer does
    def sends(self, *parts: bytes) -> None:
        self._incoming.extend(parts)
        self._deliver()

    def ends(self) -> None:
        """FIN."""
        self._incoming.append(None)
        self._deliver()

    def resets(self) -> None:
        """RST: nothing that is buffered in either direction arrives."""
        self._incoming.clear()
        self._buffer = b""
        self._lose(ConnectionResetError(104, "Connection reset by peer"))

    def stops_reading(self) -> None:
        self.reads = False

    def goes_on_reading(self) -> None:
        self.reads = True
        self._drain()

    def takes(self, count: int) -> None:
        """The peer reads some of what is there."""
        self._taken += self._buffer[:count]
        self._buffer = self._buffer[count:]

    def _drain(self) -> None:
        self.takes(len(self._buffer))
        if self._closing and not self.lost:
            self._loop.call_soon(self._lose, None)
        elif self._blocked and not self.lost:
            self._blocked = False
            self.protocol.resume_writing()

    def received(self) -> bytes:
        """What the peer got since it was last asked."""
        data, self._taken = self._taken, b""
        return data

    @property
    def unread(self) -> int:
        """What the peer sent and the protocol has not taken."""
        return sum(len(data) for data in self._incoming if data is not None)

    @property
    def waits(self) -> bool:
        """The proxy does not read from it."""
        return not self._reading

    @property
    def closing(self) -> bool:
        return self._closing


ROUTE = Route(RouteMatch(PathMatch.PREFIX, "/"), Forward((WeightedCluster("up", 1),)))
HOSTS = (Address("10.0.0.1", 80),)
DESTINATION = Address("10.1.1.1", 80)


def assignment(*addresses: Address, name: str = "up") -> Assignment:
    return Assignment(name, (LocalityEndpoints(tuple(Endpoint(address) for address in addresses)),))


def cluster(**fields: Any) -> Cluster:
    return replace(Cluster("up", Discovery.STATIC, assignment=assignment(*HOSTS)), **fields)


def forward(retry: RetryPolicy | None = None, **fields: Any) -> Route:
    return replace(ROUTE, action=Forward((WeightedCluster("up", 1),), retry=retry, **fields))


def hcm(*routes: Route, **fields: Any) -> Hcm:
    host = VirtualHost("any", ("*",), routes or (ROUTE,))
    return replace(Hcm("test", (), routes=RouteConfig("local", (host,)), generate_request_id=False), **fields)


@contextmanager
def manual_clock(patch: Any) -> Iterator[ManualLoop]:
    """A loop whose clock all of the sidecar's modules read (`patch` is pytest's monkeypatch)."""
    loop = ManualLoop()
    for name, module in list(sys.modules.items()):
        if name.startswith("sidecar.") and hasattr(module, "monotonic"):
            patch.setattr(module, "monotonic", lambda: loop.now)
    yield loop


@dataclass(slots=True)
class Stage:
    """A connection manager with its clusters. `finished` are the exchanges that were accounted."""

    loop: ManualLoop
    config: Hcm = field(default_factory=hcm)
    clusters: Sequence[Cluster] = field(default_factory=lambda: (cluster(),))
    buffer_limit: int = 1024 * 1024
    direction: Direction = Direction.UNSPECIFIED
    finished: list[Exchange] = field(default_factory=list)
    stats: Stats = field(default_factory=Stats)
    tasks: TaskOwner = field(default_factory=lambda: TaskOwner("stage"))
    active: Deadlines = field(init=False)
    idle: Deadlines = field(init=False)
    upstreams: ClusterManager = field(init=False)
    manager: ConnectionManager = field(init=False)
    wires: list[Wire] = field(default_factory=list)
    in_progress: list[Exchange] = field(default_factory=list)

    def __post_init__(self) -> None:
        loop: Any = self.loop
        self.active, self.idle = Deadlines(loop, 0.01), Deadlines(loop, 0.1)
        rng = random.Random(1)
        self.upstreams = ClusterManager(UpstreamContext(loop, self.stats, self.tasks, self.idle, rng=rng))
        for each in self.clusters:
            self.upstreams.set_cluster(each)
        context = ManagerContext(
            loop=loop,
            clusters=self.upstreams.clusters,
            stats=self.stats,
            tasks=self.tasks,
            active=self.active,
            idle=self.idle,
            node=Node("sidecar", "10.0.0.1", "test"),
            on_complete=lambda _config, _direction: lambda exchange, _now: self.finished.append(exchange),
            tracer=lambda _config, _direction: None,
            interim=lambda _config, _log_type: lambda exchange, _now: self.in_progress.append(exchange),
            peer_headers=[],
            decode_peer=lambda _value: None,
            rng=rng,
        )
        self.manager = ConnectionManager(self.config, self.direction, self.buffer_limit, context)

    @property
    def cluster(self) -> ClusterRuntime:
        return self.upstreams.clusters["up"]

    def client(self, **limits: int) -> Wire:
        """A new downstream connection."""
        return self._accept(ServerConnection(self.manager), **limits)

    def tcp(self, config: TcpProxy, destination: Address = DESTINATION, **limits: int) -> Wire:
        session = TcpSession(self.tcp_manager(config), destination, Address("10.0.0.9", 40000))
        return self._accept(session, **limits)

    def tcp_manager(self, config: TcpProxy) -> TcpManager:
        return TcpManager(
            config,
            clusters=self.upstreams.clusters,
            stats=self.stats,
            tasks=self.tasks,
            idle=self.idle,
            rng=random.Random(1),
            opened=lambda _exchange: None,
            closed=lambda exchange, _now: self.finished.append(exchange),
            interim=lambda _config, _log_type: lambda exchange, _now: self.in_progress.append(exchange),
        )

    def _accept(self, protocol: asyncio.Protocol, **limits: int) -> Wire:
        wire = Wire(self.loop, protocol, **limits)
        self.wires.append(wire)
        protocol.connection_made(wire)
        return wire

    async def settle(self) -> None:
        """Until nothing happens any more without time or a peer."""
        for _ in range(4):
            await asyncio.sleep(0)
            while self.loop.is_ready:
                self.loop.run_ready()
                await asyncio.sleep(0)

    async def dial(self) -> Dial:
        """The next connection attempt."""
        await self.settle()
        return self.loop.dials.popleft()

    async def upstream(self, **limits: int) -> Wire:
        """The next connection attempt, accepted."""
        wire = (await self.dial()).accepts(**limits)
        self.wires.append(wire)
        await self.settle()
        return wire

    async def advance(self, seconds: float) -> None:
        await self.settle()
        self.loop.advance(seconds)
        await self.settle()

    def counter(self, name: str) -> float:
        """A statistic by Envoy's name."""
        for part in self.stats.parts():
            for stat in part:
                if stat.name == name:
                    return stat.cell.value  # type: ignore[union-attr]
        raise KeyError(name)

    def in_use(self) -> dict[str, float]:
        """Everything that counts what is in progress and is not zero."""
        found: dict[str, float] = {
            stat.name: stat.cell.value
            for part in self.stats.parts()
            for stat in part
            if isinstance(stat.cell, Gauge) and stat.cell.value and not _STATES.search(stat.name)
        }
        for each in self.upstreams.clusters.values():
            for priority, budget in (("", each.budget), ("high ", each.high_budget)):
                for name in ("connections", "pending", "requests", "retries"):
                    found[f"{each.name} {priority}{name}"] = getattr(budget, name)
            for host in each.hosts:
                found |= {f"{host.name} active": host.active, f"{host.name} connections": host.connections}
                found |= {f"{host.name} waiting": len(host.pool.waiting), f"{host.name} idle": len(host.pool.idle)}
        found |= {"deadlines": len(self.active), "idle deadlines": len(self.idle)}
        return {name: value for name, value in found.items() if value}

    async def leaves_nothing(self) -> None:
        """Everybody goes away; then nothing may be left."""
        await self.settle()
        while self.loop.dials or not all(wire.lost for wire in self.wires):
            for wire in self.wires:
                if not wire.lost:
                    wire.resets()
            await self.settle()
            while self.loop.dials:
                self.loop.dials.popleft().refuses()
                await self.settle()
        left = self.in_use()
        assert not left, left
        await self.advance(1.0)  # the ticks of deadlines end when there is nothing to watch
        assert self.loop.timers == [], [timer._act for timer in self.loop.timers]
        assert self.tasks._tasks == set()
