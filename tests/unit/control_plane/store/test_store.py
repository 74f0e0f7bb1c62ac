"""Changes in, Worlds out; on a source in memory and the real loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_plane.registry.workload import Workload
from control_plane.sources.database import MEMORY
from control_plane.sources.source import Commit, Selection
from control_plane.sources.sqlite import SqliteSource
from control_plane.store.debounce import Debounce
from control_plane.store.store import ConfigStore, UnknownRevisionError
from control_plane.store.texts import File
from control_plane.world import MeshConfig, World
from mesh.clock import SystemClock
from mesh.errors import ConfigError
from mesh.node import Node, ServicePort
from tests.unit.control_plane.samples import key, put, route, text


class Plane:
    """A store, and what it tells the others."""

    def __init__(self) -> None:
        self.source = SqliteSource(MEMORY)
        self.workloads: list[Workload] = []
        self.worlds: list[World] = []
        self.debounced_seconds: list[float] = []
        self.published_worlds = asyncio.Condition()
        self.store = ConfigStore(
            self.source, lambda: self.workloads, self.publish, self, MeshConfig(), SystemClock(), Debounce(0.2, 2)
        )

    def publish(self, world: World, changed_at: float) -> None:
        assert changed_at <= asyncio.get_running_loop().time()
        self.worlds.append(world)

    async def world(self, count: int) -> World:
        """The count-th world."""
        async with asyncio.timeout(5):
            while len(self.worlds) < count:  # noqa: ASYNC110 - what is waited for is a timer's doing
                await asyncio.sleep(0.005)
        assert len(self.worlds) == count
        return self.worlds[-1]

    def changed(self, commit: Commit) -> None: ...
    def endpoints_changed(self) -> None: ...
    def debounced(self, seconds: float) -> None:
        self.debounced_seconds.append(seconds)

    def published(self, world: World, seconds: float) -> None: ...


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    plane = Plane()
    await plane.source.open()
    await plane.store.start()
    yield plane
    plane.store.stop()
    await plane.source.close()


def files(*documents: dict[str, Any]) -> list[File]:
    return [File("test.yaml", text(*documents))]


def actions(outcome: Any) -> list[tuple[str, str]]:
    return [(result.key.name, result.action) for result in outcome.results]


async def test_the_first_world_is_there_from_the_start(plane: Plane) -> None:
    assert [(world.revision, world.resources) for world in plane.worlds] == [(0, {})]


async def test_changes_in_short_order_are_one_world(plane: Plane) -> None:
    await asyncio.gather(*(plane.store.apply(files(route(name))) for name in "abc"))
    world = await plane.world(2)
    assert world.revision == 3
    assert [r.key.name for r in world.resources["VirtualService"]] == ["a", "b", "c"]
    assert len(plane.debounced_seconds) == 1


async def test_workloads_and_configuration_are_one_world(plane: Plane) -> None:
    node = Node("sidecar", "127.0.1.2", "a-1", service="a", ports=(ServicePort(80),))
    await plane.store.apply(files(route("a")))
    plane.workloads.append(Workload(node))
    plane.store.workloads_changed()
    world = await plane.world(2)
    assert list(world.services) == ["a.default.svc.cluster.local"]
    assert world.revision == 1


async def test_a_workload_that_changes_nothing_makes_no_world(plane: Plane) -> None:
    plane.workloads.append(Workload(Node("sidecar", "127.0.1.2", "client")))
    plane.store.workloads_changed()
    async with asyncio.timeout(5):
        while not plane.debounced_seconds:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert len(plane.worlds) == 1


async def test_apply_says_what_became_of_each(plane: Plane) -> None:
    outcome = await plane.store.apply(files(route("a"), route("b")))
    assert (outcome.revision, actions(outcome)) == (1, [("a", "created"), ("b", "created")])
    outcome = await plane.store.apply(files(route("a"), route("b", "v2"), route("c")))
    assert (outcome.revision, actions(outcome)) == (2, [("a", "unchanged"), ("b", "configured"), ("c", "created")])
    outcome = await plane.store.apply(files(route("a")))
    assert (outcome.revision, actions(outcome)) == (2, [("a", "unchanged")])


async def test_a_dry_run_says_the_same_and_changes_nothing(plane: Plane) -> None:
    await plane.store.apply(files(route("a")))
    outcome = await plane.store.apply(files(route("a", "v2"), route("b")), dry_run=True)
    assert (outcome.revision, actions(outcome)) == (1, [("a", "configured"), ("b", "created")])
    assert plane.store.accepted.current() == {key(route("a")): route("a")}


async def test_a_refused_apply_leaves_everything_as_it_was(plane: Plane) -> None:
    await plane.store.apply(files(route("a")))
    bad = {**route("b"), "spec": {"hosts": ["b"], "teleport": 1}}
    with pytest.raises(ConfigError):
        await plane.store.apply(files(route("a", "v2"), bad))
    assert plane.source.revision == 1
    assert plane.store.accepted.current() == {key(route("a")): route("a")}


async def test_delete(plane: Plane) -> None:
    await plane.store.apply(files(route("a"), route("b")))
    outcome = await plane.store.delete([key(route("a")), key(route("x"))])
    assert (outcome.revision, actions(outcome)) == (2, [("a", "deleted"), ("x", "not found")])
    assert actions(await plane.store.delete_files(files(route("b")))) == [("b", "deleted")]
    assert plane.store.select(Selection()) == []


async def test_a_rollback_is_a_new_revision_with_everything_as_it_was(plane: Plane) -> None:
    await plane.store.apply(files(route("a"), route("b"), route("same")))
    before = {stored.key: (stored.document, stored.created) for stored in await plane.source.current()}
    await plane.store.apply(files(route("a", "v2"), route("c")))
    await plane.store.delete([key(route("b"))])
    outcome = await plane.store.rollback(1)
    assert outcome.revision == 4
    assert actions(outcome) == [("a", "configured"), ("b", "created"), ("c", "deleted")]
    assert {s.key: (s.document, s.created) for s in await plane.source.current()} == before
    assert actions(await plane.store.rollback(4)) == []
    assert plane.source.revision == 4


@pytest.mark.parametrize("revision", [-1, 2, 10**9])
async def test_a_revision_that_never_was(plane: Plane, revision: int) -> None:
    await plane.store.apply(files(route("a")))
    with pytest.raises(UnknownRevisionError, match="the latest is 1"):
        await plane.store.rollback(revision)


async def test_a_rollback_to_what_is_not_accepted_any_more_is_refused(plane: Plane) -> None:
    bad = {**route("b"), "spec": {"hosts": ["b"], "teleport": 1}}
    (change,) = put(route("b"))
    await plane.source.apply([type(change)(change.key, bad)])  # as another version of us had done
    await plane.store.delete([key(bad)])
    with pytest.raises(ConfigError, match="teleport"):
        await plane.store.rollback(1)
    assert plane.source.revision == 2


async def test_diff(plane: Plane) -> None:
    await plane.store.apply(files(route("a"), route("b")))
    found = dict(await plane.store.diff(files(route("a"), route("b", "v2"), route("c"))))
    assert found[key(route("a"))] == ""
    assert "+        subset: v2" in found[key(route("b"))]
    assert "+kind: VirtualService" in found[key(route("c"))]


async def test_problems_of_what_is_stored_are_told(plane: Plane) -> None:
    bad = {**route("b"), "spec": {"hosts": ["b"], "teleport": 1}}
    (change,) = put(route("b"))
    await plane.source.apply([type(change)(change.key, bad)])
    (problem,) = plane.store.problems()
    assert "VirtualService/default/b is stored but not in effect" in problem.message
