"""One experiment whose numbers go wrong: it says so, and it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import aiohttp
import pytest

from control_plane.experiments.conductor import Conductor
from control_plane.experiments.ledger import Document, Ledger
from mesh.clock import ManualClock
from mesh.experiments.run import Phase, Run
from mesh.experiments.samples import Sample, Selection
from mesh.istio.load import load_documents
from mesh.istio.resource import Key
from mesh.tasks import TaskOwner

KEY = Key("Experiment", "default", "e")


class Book:
    """A ledger that keeps one VirtualService and nothing else."""

    def __init__(self) -> None:
        self.document: Document | None = None
        self.broken = False

    def find(self, key: Key) -> Run | None:
        return None

    def routes(self, route: Key) -> Document | None:
        if self.broken:
            raise ValueError("the store is upset")
        return self.document

    def subset_versions(self, host: str, namespace: str) -> dict[str, str]:
        return {"v1": "v1", "v3": "v3"}

    async def write(self, key: Key, run: Run, route: Key, document: Document | None) -> Run | None:
        self.document = document
        return replace(run, written=document)

    async def note(self, key: Key, run: Run) -> Run:
        return run


class Proxies:
    """`error` is raised, if there is one; each look takes ten seconds."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.error: Exception | None = None
        self.requests = 0

    async def look(self, selection: Selection) -> Mapping[str, Sequence[Sample]]:
        self.clock.advance(10)
        if self.error is not None:
            raise self.error
        self.requests += 5
        return {"a": [Sample(version, version, False, None, self.requests) for version in ("v1", "v3")]}


class Scene:
    def __init__(self, **spec: Any) -> None:
        document = {
            "apiVersion": "mesh.asyncmesh.io/v1alpha1",
            "kind": "Experiment",
            "metadata": {"name": "e"},
            "spec": {
                "target": {"host": "reviews"},
                "baseline": {"subset": "v1"},
                "candidate": {"subset": "v3"},
                "strategy": {"canary": {"steps": [{"weight": 10, "manual": True}]}},
                "checks": [{"errorIncrease": {"max": 1}}],
                "interval": "200ms",
                "noData": "25s",
                **spec,
            },
        }
        self.clock = ManualClock()
        self.book = Book()
        self.proxies = Proxies(self.clock)
        session = cast(aiohttp.ClientSession, None)  # nothing is asked of it here
        ledger = cast(Ledger, self.book)
        self.conductor = Conductor(KEY, load_documents([document])[0].spec, ledger, self.proxies, session, self.clock)

    async def until(self, there: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not there():  # noqa: ASYNC110 - what is waited for is a look, and looks are a matter of time
                await asyncio.sleep(0.005)

    @property
    def phase(self) -> Phase | None:
        return self.conductor.state.phase if self.conductor.state else None


async def play(scene: Scene, *acts: Callable[[], object]) -> None:
    """Each act is awaited to be true, in turn, while the experiment runs."""
    tasks = TaskOwner("test")
    tasks.start(scene.conductor.run())
    try:
        for act in acts:
            await scene.until(act)
    finally:
        await tasks.close()


async def test_numbers_that_cannot_be_read_are_said_and_then_rolled_back() -> None:
    scene = Scene()

    def begun() -> bool:
        if scene.phase is not Phase.RUNNING:
            return False
        scene.proxies.error = KeyError("value")
        return True

    await play(
        scene, begun, lambda: scene.conductor.next == "KeyError: 'value'", lambda: scene.phase is Phase.ROLLED_BACK
    )
    assert scene.conductor.state is not None
    assert scene.conductor.state.reason.endswith("s: KeyError: 'value'")
    assert scene.book.document is None


async def test_a_look_that_fails_once_is_made_up_for() -> None:
    scene = Scene()

    def begun() -> bool:
        if scene.phase is not Phase.RUNNING:
            return False
        scene.proxies.error = RecursionError("deep")
        return True

    def failed() -> bool:
        if scene.conductor.next != "RecursionError: deep":
            return False
        scene.proxies.error = None
        return True

    await play(scene, begun, failed, lambda: "until somebody agrees" in scene.conductor.next)
    assert scene.phase is Phase.RUNNING


async def test_whatever_goes_wrong_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()

    def begun() -> bool:
        scene.book.broken = scene.phase is Phase.RUNNING
        return scene.book.broken

    def failed() -> bool:
        if scene.conductor.next != "ValueError: the store is upset":
            return False
        scene.book.broken = False
        return True

    await play(scene, begun, failed, lambda: "until somebody agrees" in scene.conductor.next)
    assert "experiment e: ValueError: the store is upset" in caplog.text


async def test_a_guard_without_a_number_is_an_event_and_then_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(guards=[{"promql": "errors", "max": 1}], prometheus="http://127.0.0.1:9")
    prometheus = scene.conductor._lookout._prometheus
    answers: list[float | None] = [0.5]

    async def number(query: str) -> float | None:
        return answers[-1]

    monkeypatch.setattr(prometheus, "number", number)
    monkeypatch.setattr(prometheus, "look", scene.proxies.look)

    def fine() -> bool:
        if "until somebody agrees" not in scene.conductor.next:
            return False
        answers.append(float("nan"))
        return True

    held = "no single number for the guard errors"
    await play(scene, fine, lambda: held in scene.conductor.next, lambda: scene.phase is Phase.ROLLED_BACK)
    assert scene.conductor.state is not None
    events = [(event.what, event.reason) for event in scene.conductor.state.events]
    assert events[1] == ("no data", held)
    assert [what for what, _ in events] == ["began", "no data", "rolled back"]


async def test_what_happens_in_the_warm_up_is_no_evidence() -> None:
    """Looks are 10 s apart, with 5 requests a version."""
    scene = Scene(warmUp="25s")
    await play(scene, lambda: scene.proxies.requests >= 25)
    state = scene.conductor.state
    assert state is not None and 0 < state.candidate.requests < scene.proxies.requests - 5
