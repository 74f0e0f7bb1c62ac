from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse

from control_plane.ads.hub import PushHub, UnknownProxyError, unpacked
from control_plane.ads.pace import Pace
from control_plane.ads.push import Variant
from control_plane.ads.stream import ProxyStream
from control_plane.ads.subscription import DeltaRequest
from control_plane.world import World
from mesh.clock import Clock, ManualClock, SystemClock
from mesh.node import Node
from mesh.tasks import TaskOwner
from mesh.xds import CLUSTER, HEALTH


class Registry:
    def __init__(self) -> None:
        self.events: list[str] = []

    def connected(self, node: Node) -> None:
        self.events.append(f"+{node.name}")

    def disconnected(self, node: Node) -> None:
        self.events.append(f"-{node.name}")


class Metrics:
    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.waits: list[float] = []

    def pushed(self, type_name: str) -> None:
        self.log.append(("pushed", type_name))

    def rejected(self, type_name: str) -> None:
        self.log.append(("rejected", type_name))

    def failed(self) -> None:
        self.log.append(("failed",))

    def converged(self, seconds: float) -> None:
        self.log.append(("converged", seconds))

    def expired(self, type_name: str) -> None:
        self.log.append(("expired", type_name))

    def queued(self, seconds: float) -> None:
        self.waits.append(seconds)

    def proxies(self, count: int) -> None:
        self.log.append(("proxies", count))

    def sent(self, type_name: str, size: int, due_seconds: float, seconds: float) -> None: ...


class Plane:
    """A hub whose worlds are clusters by name and stat name; a proxy whose name begins with `broken` cannot be
    translated for."""

    def __init__(self, clock: Clock | None = None, pace: Pace | None = None) -> None:
        self.clock = ManualClock()
        self.registry = Registry()
        self.metrics = Metrics()
        self.worlds: dict[int, dict[str, str]] = {}
        self.hub = PushHub(self.build, self.registry, self.metrics, clock or self.clock, pace)

    def build(self, world: World, node: Node) -> Mapping[str, Mapping[str, Any]]:
        if node.name.startswith("broken") and world.revision > 1:
            raise ZeroDivisionError("a bug")
        content = self.worlds[world.revision]
        return {CLUSTER: {name: Cluster(name=name, alt_stat_name=stat) for name, stat in content.items()}}

    def publish(self, revision: int, changed_at: float | None = None, **clusters: str) -> None:
        self.worlds[revision] = clusters
        self.hub.publish(World(revision=revision), changed_at)


class Client:
    """A delta client; `responses` are what it was sent."""

    def __init__(self, plane: Plane, name: str, namespace: str = "default") -> None:
        self.plane = plane
        self.responses: asyncio.Queue[Any] = asyncio.Queue()
        self.blocked = asyncio.Event()
        self.blocked.set()
        node = Node("sidecar", "127.0.0.1", name, namespace)
        self.stream: ProxyStream = plane.hub.join(node, Variant.DELTA, self.write)

    async def write(self, data: bytes) -> None:
        await self.blocked.wait()
        self.responses.put_nowait(DeltaDiscoveryResponse.FromString(data))

    def send(self, nonce: str = "", error: str | None = None) -> None:
        self.plane.hub.received(self.stream, DeltaRequest(CLUSTER, nonce=nonce, error=error))

    async def response(self) -> Any:
        async with asyncio.timeout(5):
            return await self.responses.get()

    async def ack(self, error: str | None = None) -> list[str]:
        """Answers the next response; the names that it held."""
        response = await self.response()
        self.send(response.nonce, error)
        return sorted(resource.name for resource in response.resources)


@asynccontextmanager
async def client(plane: Plane, name: str, namespace: str = "default") -> AsyncIterator[Client]:
    """A connected client that has asked for all clusters."""
    one = Client(plane, name, namespace)
    tasks = TaskOwner("test")
    tasks.start(one.stream.run())
    one.send()
    try:
        yield one
    finally:
        plane.hub.leave(one.stream)
        await tasks.close()


@pytest.fixture
def plane() -> Plane:
    return Plane()


async def test_who_connects_gets_the_current_world(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web") as one:
        assert await one.ack() == ["a"]
        assert plane.registry.events == ["+web"]
    assert plane.registry.events == ["+web", "-web"]


async def test_who_connects_before_there_is_a_world_waits_for_it(plane: Plane) -> None:
    async with client(plane, "web") as one:
        await asyncio.sleep(0)
        assert one.responses.empty()
        plane.publish(1, a="1")
        assert await one.ack() == ["a"]
        assert (await plane.hub.convergence(1, 5)).state == "converged"


async def test_a_new_world_is_pushed_to_those_whom_it_changes_something_for(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web") as one:
        await one.ack()
        plane.publish(2, a="1")
        assert await plane.hub.convergence(2, 5) == await plane.hub.convergence(2, 0)
        plane.publish(3, a="1", b="1")
        assert await one.ack() == ["b"]
        done = await plane.hub.convergence(3, 5)
        assert (done.state, done.affected, done.acked) == ("converged", 1, 1)


async def test_convergence_of_a_revision_that_comes_later_waits_for_it(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web") as one:
        await one.ack()
        plane.clock.advance(10)
        changed_at = plane.clock.monotonic()

        async def later() -> None:
            plane.clock.advance(0.5)
            plane.publish(4, changed_at, a="2")
            await one.ack()

        done, _ = await asyncio.gather(plane.hub.convergence(3, 5), later())
        assert (done.revision, done.state, done.affected, done.seconds) == (3, "converged", 1, 0.5)
        assert ("converged", 0.5) in plane.metrics.log


async def test_convergence_gives_up_waiting_and_says_how_far_it_is(plane: Plane) -> None:
    plane.publish(1, a="1")
    assert (await plane.hub.convergence(2, 0.01)).state == "pending"
    async with client(plane, "web") as one:
        await one.ack()
        plane.publish(2, a="2")
        pending = await plane.hub.convergence(2, 0.01)
        assert (pending.state, pending.affected, pending.acked) == ("pending", 1, 0)


async def test_a_rejection_is_told_at_once(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web") as one, client(plane, "other") as other:
        await one.ack()
        await other.ack()
        plane.publish(2, a="2")
        with caplog.at_level(logging.WARNING):
            await one.ack(error="a: no")
        refused = await plane.hub.convergence(2, 5)
        assert refused.state == "nacked"
        assert [(n.type, n.resource, n.message) for n in refused.nacks] == [("CDS", "a", "a: no")]
        assert "a: no" in caplog.text
        assert ("rejected", "cds") in plane.metrics.log
        response = await other.response()
        states = {p.name: p.types["CDS"].state for p in plane.hub.proxies()}
        assert states == {"web": "NACKED", "other": "STALE"}
        other.send(response.nonce)
        assert {p.types["CDS"].state for p in plane.hub.proxies()} == {"NACKED", "SYNCED"}


async def test_a_slow_proxy_holds_nobody_back_and_is_sent_the_last_only(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "slow") as slow, client(plane, "fast") as fast:
        await slow.ack()
        await fast.ack()
        slow.blocked.clear()
        for revision in range(2, 6):
            plane.publish(revision, a=str(revision))
            await fast.ack()
        slow.blocked.set()
        assert await slow.ack() == ["a"]  # the one that was being written
        assert await slow.ack() == ["a"]
        assert (await plane.hub.convergence(5, 5)).state == "converged"
        assert slow.responses.empty()


async def test_changes_in_quick_succession_are_pushed_as_one() -> None:
    spent = [0.0]
    plane = Plane(SystemClock(), Pace(share=0.5, longest=60, cpu=lambda: spent[0]))
    plane.publish(1, a="1")
    async with client(plane, "web") as one:
        assert await one.ack() == ["a"]
        plane.publish(2, a="2")
        response = await one.response()
        spent[0] += 0.1  # it is held for 0.2 s since the second began
        plane.publish(3, a="3")
        plane.publish(4, a="4")
        one.send(response.nonce)
        assert (await plane.hub.convergence(2, 5)).state == "converged"
        assert one.responses.empty()
        done = await asyncio.gather(plane.hub.convergence(3, 5), plane.hub.convergence(4, 5), one.ack())
        assert [one.state for one in done[:2]] == ["converged", "converged"]
        (resource,) = plane.hub.proxy_config("web", "clusters")
        assert unpacked([resource]) == [{"name": "a", "alt_stat_name": "4"}]
        assert plane.metrics.log.count(("pushed", "cds")) == 3
    await plane.hub.close()


async def test_one_that_cannot_be_translated_for_leaves_the_others_alone(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    plane.publish(1, a="1")
    async with client(plane, "broken") as broken, client(plane, "web") as one:
        await broken.ack()
        await one.ack()
        plane.publish(2, a="2")
        assert await one.ack() == ["a"]
        refused = await plane.hub.convergence(2, 5)
        assert refused.state == "nacked"
        assert "ZeroDivisionError: a bug" in refused.nacks[0].message
        assert "a bug" in caplog.text
        assert plane.metrics.log.count(("failed",)) == 1
        assert unpacked(plane.hub.proxy_config("broken", "clusters")) == [{"name": "a", "alt_stat_name": "1"}]


async def test_the_registry_is_told_of_every_stream(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web"):
        async with client(plane, "web"):
            assert [p.name for p in plane.hub.proxies()] == ["web"]
        assert plane.registry.events == ["+web", "+web", "-web"]
    assert plane.registry.events == ["+web", "+web", "-web", "-web"]


@pytest.mark.fault(16)
async def test_who_connects_is_registered_before_anything_is_made_for_them(plane: Plane) -> None:
    plane.publish(1, a="1")
    made: list[str] = []
    real = plane.build

    def build(world: World, node: Node) -> Mapping[str, Mapping[str, Any]]:
        made.append(node.name)
        return real(world, node)

    plane.hub._snapshots._build = build  # type: ignore[union-attr]
    names = [f"web-{n}" for n in range(5)]
    clients = [Client(plane, name) for name in names]
    assert (plane.registry.events, made) == ([f"+{name}" for name in names], [])
    async with asyncio.timeout(5):
        while len(made) < 5:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0)
    for each in clients:
        plane.hub.leave(each.stream)


async def test_nobody_counts_as_lost_when_it_is_we_who_go(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web"):
        await plane.hub.close()
    assert plane.registry.events == ["+web"]


async def test_what_a_proxy_has_can_be_read_by_its_id_or_names(plane: Plane) -> None:
    plane.publish(1, a="1", b="2")
    async with client(plane, "web") as one, client(plane, "web", "other"):
        await one.ack()
        expected = [{"name": "a", "alt_stat_name": "1"}, {"name": "b", "alt_stat_name": "2"}]
        assert unpacked(plane.hub.proxy_config("web.default", "clusters")) == expected
        assert unpacked(plane.hub.proxy_config(one.stream.id, "clusters")) == expected
        assert plane.hub.proxy_config("web.default", "listeners") == []
        with pytest.raises(UnknownProxyError, match="several"):
            plane.hub.proxy_config("web", "clusters")
        with pytest.raises(UnknownProxyError, match=r"web\.default, web\.other"):
            plane.hub.proxy_config("nobody", "clusters")
        with pytest.raises(KeyError):
            plane.hub.proxy_config("web.default", "secrets")


async def test_how_long_each_proxy_waits_for_its_turn_is_told(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web") as one, client(plane, "api") as other:
        await one.response()
        await other.response()
        assert plane.metrics.waits == [0.0, 0.0]
        plane.publish(2, a="2")
        plane.clock.advance(3)
        async with asyncio.timeout(5):
            while len(plane.metrics.waits) < 4:  # noqa: ASYNC110 - a turn of the loop each
                await asyncio.sleep(0)
        assert plane.metrics.waits[2:] == [3.0, 3.0]


async def test_the_state_of_a_proxy(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web") as one:
        [known] = plane.hub.proxies()
        assert {name: status.state for name, status in known.types.items()} == dict.fromkeys(
            ("CDS", "EDS", "LDS", "RDS"), "NOT SENT"
        )
        assert (known.connected, known.since, known.namespace) == (True, plane.clock.wall(), "default")
        await one.response()
        [known] = plane.hub.proxies()
        assert known.types["CDS"].state == "STALE"
        assert known.types["CDS"].pushed_at == plane.clock.wall()


async def test_only_a_rejection_counts_as_one(plane: Plane) -> None:
    plane.publish(1, a="1")
    async with client(plane, "web") as one:
        await one.ack()
        assert [event for event in plane.metrics.log if event[0] != "converged"] == [("proxies", 1), ("pushed", "cds")]
        plane.publish(2, a="2")
        await one.ack(error="no")
        assert plane.metrics.log.count(("rejected", "cds")) == 1
    assert plane.metrics.log[-1] == ("proxies", 0)


async def test_a_hub_needs_no_registry_no_metrics_and_no_clock() -> None:
    hub = PushHub(lambda world, node: {CLUSTER: {}})
    sent: list[bytes] = []

    async def write(data: bytes) -> None:
        sent.append(data)

    stream = hub.join(Node("sidecar", "127.0.0.1", "web"), Variant.DELTA, write)
    hub.received(stream, DeltaRequest(CLUSTER))
    hub.received(stream, DeltaRequest(HEALTH, error="down"))
    hub.publish(World(revision=1))
    assert (await hub.convergence(1, 5)).state == "converged"
    assert [status.name for status in hub.proxies()] == ["web"]
    hub.leave(stream)
    assert hub.proxies() == []
    await hub.close()


async def test_what_an_app_says_of_itself_is_told_the_registry(plane: Plane) -> None:
    told: list[tuple[str, str]] = []
    plane.registry.reported = lambda node, problem: told.append((node.name, problem))  # type: ignore[attr-defined]
    plane.publish(1, a="1")
    async with client(plane, "web") as one:
        for problem in ("down", None):
            plane.hub.received(one.stream, DeltaRequest(HEALTH, error=problem))
    assert told == [("web", "down"), ("web", "")]


async def test_a_change_that_nobody_is_affected_by_has_no_time_of_arrival(plane: Plane) -> None:
    plane.publish(1, a="1")
    assert (await plane.hub.convergence(1, 5)).affected == 0
    assert not [event for event in plane.metrics.log if event[0] == "converged"]
