"""kill -9 at any moment of an apply: what was answered is there, and what was not is there as a whole or not at all.

`MESH_KILL_ROUNDS=100` for more rounds than the few that every run makes.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.control_plane.support import ControlPlane
from tests.unit.control_plane.samples import route, text

ROUNDS = int(os.environ.get("MESH_KILL_ROUNDS", "3"))
BATCH = 8
LONGEST_SECONDS = 0.15


class Writer:
    """Applies batches, each of which gives all its resources the same subset, until the control plane is gone."""

    def __init__(self, plane: ControlPlane, first: int) -> None:
        self._plane = plane
        self.next = first
        self.answered = first - 1
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while self._plane.apply(batch(self.next)).status == 200:
                self.answered, self.next = self.next, self.next + 1
        except (OSError, http.client.HTTPException, ValueError):
            return

    def join(self) -> None:
        self._thread.join()


def batch(number: int) -> str:
    return text(*(route(f"r{n}", f"v{number}") for n in range(BATCH)))


def subset_of(document: Any) -> int:
    return int(document["spec"]["http"][0]["route"][0]["destination"]["subset"].removeprefix("v"))


@pytest.mark.fault(12)
@pytest.mark.parametrize("kind", ["sqlite", "dir"])
def test_nothing_is_lost_and_nothing_is_half(kind: str, tmp_path: Path) -> None:
    random_source = random.Random(7)
    root = tmp_path / "config"
    root.mkdir()
    store = f"sqlite://{tmp_path}/mesh.db" if kind == "sqlite" else f"dir://{root}"
    last = 0
    with ControlPlane(store, tmp_path) as plane:
        for _ in range(ROUNDS):
            writer = Writer(plane, last + 1)
            time.sleep(random_source.random() * LONGEST_SECONDS)  # the moment is what is tried out
            plane.kill()
            writer.join()
            plane.start()
            found = {subset_of(document) for document in plane.documents()}
            assert len(found) <= 1, "half an apply is in effect"
            last = found.pop() if found else 0
            assert last in (writer.answered, writer.answered + 1), "an answered apply is lost"
            assert len(plane.documents()) == (BATCH if last else 0)
            if kind == "dir":
                assert not [path for path in root.rglob("*") if path.name.endswith(".tmp")]
