"""All experiments of a control plane, beside a real store: what one of them meets is not the others' trouble."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.experiments.controller import Experiments
from control_plane.experiments.ledger import RUN, Ledger
from control_plane.sources.source import Change
from mesh.clock import SystemClock
from mesh.istio.load import load_documents
from mesh.istio.resource import Key
from tests.unit.control_plane.experiments.places import apply, opened, until


def experiment(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "mesh.asyncmesh.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "target": {"host": "reviews"},
            "baseline": {"subset": "v1"},
            "candidate": {"subset": "v3"},
            "strategy": {"canary": {"steps": [{"weight": 10, "manual": True}]}},
            "checks": [{"errorIncrease": {"max": 1}}],
            "interval": "200ms",
        },
    }


async def test_what_one_experiment_meets_does_not_keep_it_from_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened() as store:
        orphan = {
            "apiVersion": "mesh.asyncmesh.io/v1alpha1",
            "kind": RUN,
            "metadata": {"name": "gone", "namespace": "default"},
            "spec": {"record": {}},
        }
        key = Key(RUN, "default", "gone")
        await store.change([Change(key, orphan, resource=load_documents([orphan])[0])], {})
        forget = Ledger.forget

        async def upset(self: Ledger, key: Key, now: float) -> None:
            raise OSError("the disk is full")

        monkeypatch.setattr(Ledger, "forget", upset)
        experiments = Experiments(store, lambda: (), SystemClock())
        await experiments.start()
        try:
            await until(lambda: "the disk is full" in caplog.text)
            await apply(store, experiment("new"))
            new = Key("Experiment", "default", "new")
            await until(lambda: new in experiments.conductors and experiments.conductors[new].next)
            assert caplog.text.count("the disk is full\n") <= 2  # once, with how it came to it
            monkeypatch.setattr(Ledger, "forget", forget)
            await until(lambda: key not in store.accepted.resources)
        finally:
            await experiments.close()


async def test_a_record_that_cannot_be_read_is_said_in_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as store:
        monkeypatch.setattr(Ledger, "find", lambda self, key: [][1])
        await apply(store, experiment("odd"))
        experiments = Experiments(store, lambda: (), SystemClock())
        await experiments.start()
        try:
            odd = Key("Experiment", "default", "odd")
            await until(lambda: odd in experiments.conductors and "IndexError" in experiments.conductors[odd].next)
            monkeypatch.undo()
            await until(lambda: "no DestinationRule" in experiments.conductors[odd].next)
        finally:
            await experiments.close()
