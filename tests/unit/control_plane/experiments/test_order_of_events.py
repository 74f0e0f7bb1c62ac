"""Whatever comes in whatever order (kills, silence, failures, edits, people's wishes), routes are never left between."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mesh.experiments.routes import RouteError
from mesh.experiments.run import Phase
from tests.unit.control_plane.experiments.places import apply
from tests.unit.control_plane.experiments.test_kills import (
    CANDIDATE,
    ORIGINAL,
    ROUTES,
    SPLITS,
    Killed,
    World,
)

STAGES = list(SPLITS.values())


class Experimenting(RuleBasedStateMachine):
    """`edited` is whether somebody else's routes are in the store; `over` how it ended, once it has."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.mkdtemp()
        self.world = World(f"{self.folder}/store.db")
        self.life = AsyncExitStack()
        self.over: Phase | None = None
        self.edited = False
        self.edits = 0
        self.last = ORIGINAL
        self._run(self._begin())

    def _run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def _begin(self) -> None:
        await self.life.enter_async_context(self.world.alive())

    def teardown(self) -> None:
        self._run(self.life.aclose())
        self._run(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)

    @rule(looks=st.integers(1, 4))
    def time_passes(self, looks: int) -> None:
        for _ in range(looks):
            self._run(self.world.conductor.turn())
            self.one_change_at_a_time()

    @rule()
    def more_time_passes(self) -> None:
        self.time_passes(8)

    @rule(moment=st.sampled_from(["now", "before", "after"]))
    def killed(self, moment: str) -> None:
        """At once, or with the next thing that is written."""
        if moment != "now":
            self.world.source.kill = moment
            try:
                for _ in range(4):
                    self._run(self.world.conductor.turn())
            except Killed:
                pass
            self.world.source.kill = ""
        self._run(self.life.aclose())
        self.life = AsyncExitStack()
        self._run(self._begin())

    @rule(what=st.sampled_from(["nothing", "nothing", "silent", "failing", "dead"]))
    def traffic_changes(self, what: str) -> None:
        traffic = self.world.traffic
        traffic.silent, traffic.failing, traffic.dead = (what == each for each in ("silent", "failing", "dead"))

    @precondition(lambda self: not self.edits)
    @rule(subset=st.sampled_from(["v1", "v3"]))
    def somebody_edits(self, subset: str) -> None:
        route = {"timeout": "7s", "route": [{"destination": {"host": "reviews", "subset": subset}}]}
        self._run(apply(self.world.store, {**ROUTES, "spec": {"hosts": ["reviews"], "http": [route]}}))
        self.edited, self.edits = True, self.edits + 1

    @rule(wish=st.sampled_from(["stop", "promote", "pause"]))
    def somebody_asks(self, wish: str) -> None:
        try:
            self._run(getattr(self.world.conductor, wish)("because"))
        except RouteError:
            return

    @precondition(lambda self: self.world.phase is Phase.PAUSED)
    @rule()
    def somebody_resumes(self) -> None:
        self._run(self.world.conductor.resume())
        self.edited = self.edited and self.world.phase is not Phase.RUNNING

    def one_change_at_a_time(self) -> None:
        """A look moves on by one stage at most, or ends."""
        phase, weights = self.world.phase, self.world.weights()
        if phase is Phase.RUNNING and not self.edited and self.last in STAGES and weights in STAGES:
            assert STAGES.index(weights) <= STAGES.index(self.last) + 1
        self.last = weights

    @invariant()
    def nothing_is_left_between(self) -> None:
        state, weights = self.world.conductor.state, self.world.weights()
        if state is None:
            return
        mine = state.written == self.world.document()
        if state.phase is Phase.RUNNING and mine:
            assert weights == list(SPLITS.values())[state.stage]
        if state.phase.ended and mine:
            if state.phase is Phase.PROMOTED:
                assert weights == CANDIDATE
            elif not self.edits:
                assert weights == ORIGINAL
            assert len(self.world.document()["spec"]["http"][0]["route"]) == 1
            assert not self.world.copies()

    @invariant()
    def an_end_is_final(self) -> None:
        phase = self.world.phase
        if self.over is not None and phase is not None:
            assert phase is self.over
        if phase is not None and phase.ended:
            self.over = phase

    @precondition(lambda self: self.over is not None)
    @rule()
    def whoever_edits_after_the_end_has_the_last_word(self) -> None:
        before = self.world.document()
        self._run(self.world.conductor.turn())
        assert self.world.document() == before


Experimenting.TestCase.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
TestOrderOfEvents = Experimenting.TestCase
