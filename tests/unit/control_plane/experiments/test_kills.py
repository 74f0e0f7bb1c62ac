"""A kill -9 of the control plane, its Prometheus or the candidate, in each stage of an experiment: the final state is right.

The conductor is the real one, and so is the store, in a file. A kill leaves only what the file holds: the next control
plane opens it and goes on. `tests/integration/experiments` does the same with processes, for fewer moments.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from control_plane.experiments.conductor import Conductor
from control_plane.experiments.ledger import Ledger
from control_plane.sources.source import Change, Commit, Source
from control_plane.store.store import ConfigStore
from mesh.clock import ManualClock
from mesh.experiments.run import Phase
from mesh.experiments.samples import UNKNOWN, Sample, Selection
from mesh.istio.resource import Key
from tests.unit.control_plane.experiments.places import apply, opened

KEY = Key("Experiment", "default", "e")
ROUTE = Key("VirtualService", "default", "reviews")
RULES = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "reviews"},
    "spec": {"host": "reviews", "subsets": [{"name": each, "labels": {"version": each}} for each in ("v1", "v3")]},
}
ROUTES = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews"},
    "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": "v1"}}]}]},
}
STEPS = [{"weight": 20, "duration": "10s"}, {"weight": 50, "duration": "10s"}, {"weight": 80, "manual": True}]
EXPERIMENT = {
    "apiVersion": "mesh.asyncmesh.io/v1alpha1",
    "kind": "Experiment",
    "metadata": {"name": "e"},
    "spec": {
        "target": {"host": "reviews"},
        "baseline": {"subset": "v1"},
        "candidate": {"subset": "v3"},
        "strategy": {"canary": {"mirrorFirst": {"duration": "10s"}, "steps": STEPS}},
        "checks": [{"errorIncrease": {"max": 5}}],
        "guards": [{"errorShare": {"max": 30}, "minimumRequests": 5}],
        "interval": "5s",
        "noData": "12s",
        "maxDuration": "10m",
    },
}
ORIGINAL, CANDIDATE = (100, 0), (0, 100)
SPLITS = {"copies": ORIGINAL, "20 %": (80, 20), "50 %": (50, 50), "gate": (20, 80)}


class Killed(BaseException):
    """The process is gone: nothing catches it."""


class Mortal:
    """A source that is killed just before or just after a commit is in the file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.kill = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    async def apply(self, changes: Sequence[Change]) -> Commit:
        if self.kill == "before":
            raise Killed
        commit = await self._source.apply(changes)
        if self.kill == "after":
            raise Killed
        return commit


class Traffic:
    """What proxies have counted: 100 requests a look, by the weights that are in the store, of which so many fail."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._counted: dict[tuple[str, str, bool], float] = {}
        self.silent = False
        self.failing = False
        self.dead = False  # the candidate: nobody counts what it got, and those who ask it get nothing

    async def look(self, selection: Selection) -> Mapping[str, Sequence[Sample]]:
        self._world.clock.advance(5)
        if self.silent:
            return {}
        weights, copies = self._world.weights(), self._world.copies()
        for side in ("source", "destination"):
            self._count(side, "v1", weights[0], 0)
            self._to_candidate(side, weights[1] + (100 if copies and side == "destination" else 0))
        samples = [
            Sample(f"{version}{failed}", version, failed, None, value)
            for (side, version, failed), value in self._counted.items()
            if side == selection.reporter
        ]
        return {"proxy": samples}

    def _to_candidate(self, side: str, requests: float) -> None:
        if self.dead and side == "source":
            self._count(side, UNKNOWN, 0, requests)
        elif not self.dead:
            failed = requests / 2 if self.failing else 0
            self._count(side, "v3", requests - failed, failed)

    def _count(self, side: str, version: str, good: float, bad: float) -> None:
        for failed, number in ((False, good), (True, bad)):
            place = (side, version, failed)
            self._counted[place] = self._counted.get(place, 0.0) + number


class World:
    """A control plane with one experiment, that can be killed and started again."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.clock = ManualClock()
        self.traffic = Traffic(self)
        self.store: ConfigStore
        self.source: Mortal
        self.conductor: Conductor

    @asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """One life of the control plane; it ends without a word."""
        async with opened(self._path, self.clock) as self.store:
            self.store.source = self.source = cast(Any, Mortal(self.store.source))
            if KEY not in self.store.accepted.resources:
                await apply(self.store, RULES, ROUTES, EXPERIMENT)
            spec = self.store.accepted.resources[KEY].spec
            session = cast(aiohttp.ClientSession, None)
            self.conductor = Conductor(KEY, spec, Ledger(self.store), self.traffic, session, self.clock)
            try:
                yield
            except Killed:
                return

    def document(self) -> Any:
        return self.store.accepted.documents[ROUTE].document

    def weights(self) -> tuple[int, int]:
        route = self.document()["spec"]["http"][0]["route"]
        found = {each["destination"]["subset"]: each.get("weight", 100) for each in route}
        return found.get("v1", 0), found.get("v3", 0)

    def copies(self) -> bool:
        return "mirrors" in self.document()["spec"]["http"][0]

    @property
    def phase(self) -> Phase | None:
        return self.conductor.state.phase if self.conductor.state else None

    async def until(self, stage: str) -> None:
        """Turns until the experiment is there."""
        for _ in range(60):
            if self.at(stage):
                return
            await self.conductor.turn()
        raise AssertionError(f"never came to {stage}: {self.conductor.next}, {self.conductor.state}")

    def at(self, stage: str) -> bool:
        if self.phase is not Phase.RUNNING:
            return False
        return self.weights() == SPLITS[stage] and self.copies() == (stage == "copies")

    async def to_the_end(self) -> None:
        for _ in range(150):
            await self.conductor.turn()
            if self.conductor.next.startswith("80 % until somebody agrees"):
                await self.conductor.promote("good")
            if self.phase is not None and self.phase.ended:
                return
        raise AssertionError(f"never ended: {self.conductor.next}")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(f"{tmp_path}/store.db")


@pytest.mark.parametrize("stage", SPLITS)
async def test_the_control_plane_is_killed_in_a_stage(world: World, stage: str) -> None:
    async with world.alive():
        await world.until(stage)
        await world.conductor.turn() if stage != "gate" else None
        raise Killed
    async with world.alive():
        assert world.weights() in SPLITS.values()
        await world.to_the_end()
        assert (world.phase, world.weights(), world.copies()) == (Phase.PROMOTED, CANDIDATE, False)
        assert world.conductor.state is not None
        assert "the control plane was started again" in [each.reason for each in world.conductor.state.events]


@pytest.mark.parametrize("stage", SPLITS)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_the_control_plane_is_killed_while_a_verdict_is_written(world: World, stage: str, moment: str) -> None:
    """A rollback in each stage, cut short before or after it is in the file."""
    async with world.alive():
        await world.until(stage)
        world.traffic.failing = True
        world.source.kill = moment
        await world.to_the_end()
    async with world.alive():
        assert world.weights() in (ORIGINAL, SPLITS[stage])
        await world.to_the_end()
        assert (world.phase, world.weights(), world.copies()) == (Phase.ROLLED_BACK, ORIGINAL, False)


@pytest.mark.parametrize("stage", SPLITS)
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_the_control_plane_is_killed_on_the_way_to_the_next_stage(world: World, stage: str, moment: str) -> None:
    """Steps, the approval at the gate and the promotion, each cut short before or after it is in the file."""
    async with world.alive():
        await world.until(stage)
        world.source.kill = moment
        await world.to_the_end()
    async with world.alive():
        splits = list(SPLITS.values())
        assert world.weights() in (SPLITS[stage], *splits[splits.index(SPLITS[stage]) :][:2], CANDIDATE)
        await world.to_the_end()
        assert (world.phase, world.weights(), world.copies()) == (Phase.PROMOTED, CANDIDATE, False)


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_the_control_plane_is_killed_while_it_begins(world: World, moment: str) -> None:
    async with world.alive():
        world.source.kill = moment
        await world.conductor.turn()
    async with world.alive():
        assert world.weights() == ORIGINAL
        await world.to_the_end()
        assert (world.phase, world.weights()) == (Phase.PROMOTED, CANDIDATE)


@pytest.mark.parametrize("stage", SPLITS)
@pytest.mark.parametrize("also", ["", "and the control plane"])
async def test_the_prometheus_is_killed_in_a_stage(world: World, stage: str, also: str) -> None:
    async with world.alive():
        await world.until(stage)
        world.traffic.silent = True
        if also:
            raise Killed
        await world.to_the_end()
    if also:
        async with world.alive():
            await world.to_the_end()
            assert world.conductor.state is not None
            assert "nothing was heard" in world.conductor.state.reason
    assert (world.phase, world.weights(), world.copies()) == (Phase.ROLLED_BACK, ORIGINAL, False)


@pytest.mark.parametrize("stage", SPLITS)
async def test_the_prometheus_is_back_in_time(world: World, stage: str) -> None:
    async with world.alive():
        await world.until(stage)
        world.traffic.silent = True
        await world.conductor.turn()
        world.traffic.silent = False
        await world.to_the_end()
        assert (world.phase, world.weights()) == (Phase.PROMOTED, CANDIDATE)


@pytest.mark.parametrize("stage", SPLITS)
@pytest.mark.parametrize("also", ["", "and the control plane"])
async def test_the_candidate_is_killed_in_a_stage(world: World, stage: str, also: str) -> None:
    async with world.alive():
        await world.until(stage)
        world.traffic.dead = True
        if also:
            raise Killed
        await world.to_the_end()
    if also:
        async with world.alive():
            await world.to_the_end()
    assert (world.phase, world.weights(), world.copies()) == (Phase.ROLLED_BACK, ORIGINAL, False)


@pytest.mark.parametrize("phase", [Phase.PROMOTED, Phase.ROLLED_BACK])
async def test_what_is_decided_stays_whoever_is_killed_afterwards(world: World, phase: Phase) -> None:
    async with world.alive():
        await world.until("50 %")
        world.traffic.failing = phase is Phase.ROLLED_BACK
        await world.to_the_end()
        assert world.phase is phase
        document = world.document()
    world.traffic.silent = world.traffic.dead = True
    async with world.alive():
        for _ in range(3):
            await world.conductor.turn()
        assert (world.phase, world.document()) == (phase, document)


async def test_a_changed_experiment_begins_anew_from_what_was_there_before(world: World) -> None:
    async with world.alive():
        await world.until("50 %")
        changed = {
            **EXPERIMENT,
            "spec": {**cast(Any, EXPERIMENT["spec"]), "strategy": {"canary": {"steps": STEPS[:1]}}},
        }
        await apply(world.store, changed)
        raise Killed
    async with world.alive():
        await world.conductor.turn()
        assert (world.phase, world.weights()) == (Phase.RUNNING, (80, 20))
        await world.conductor.stop("enough")
        assert (world.weights(), world.document()["spec"]) == (ORIGINAL, ROUTES["spec"])
        await asyncio.sleep(0)
