"""A mirror whose copies go to a comparer: answers that differ end it, and users have noticed nothing."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mesh.experiments.answers import REPORT_PATH
from tests.harness.ports import free_port
from tests.harness.process import Process, http_get, wait_until
from tests.integration.experiments.stage import MESH, PORT, ROOT, Stage, experiment

pytestmark = pytest.mark.long


@contextmanager
def comparer(stage: Stage, candidate: str, folder: Path) -> Iterator[tuple[int, Process]]:
    """Between the two versions' apps."""
    port = free_port()
    command = [*MESH, "experiment", "shadow", "--listen", f"127.0.0.1:{port}"]
    for side, version in (("baseline", "v1"), ("candidate", candidate)):
        command += [f"--{side}", f"http://{stage.address(version)}:{PORT}"]
    with Process(command, folder / "comparer.log", cwd=ROOT) as process:
        process.wait_ready(lambda: http_get(port, REPORT_PATH)[0] == 200, 40)
        yield port, process


def entry(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": "comparer"},
        "spec": {
            "hosts": ["comparer.test"],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
            "resolution": "STATIC",
            "endpoints": [{"address": "127.0.0.1", "ports": {"http": port}}],
        },
    }


def mirrored(candidate: str, port: int, **more: Any) -> dict[str, Any]:
    compare = {"host": "comparer.test", "port": 80, "report": f"http://127.0.0.1:{port}"}
    mirror = {"percent": 50, "requests": 30, "compare": compare}
    checks = [{"errorIncrease": {"max": 5}}]
    return experiment("answers", candidate, strategy={"mirror": mirror}, checks=checks, **more)


@pytest.fixture(autouse=True)
def no_entry_is_left(stage: Stage) -> Iterator[None]:
    yield
    stage.plane.delete("ServiceEntry", "default", "comparer")


def test_answers_that_differ_end_it(stage: Stage, tmp_path: Path) -> None:
    with comparer(stage, "v3", tmp_path) as (port, _), stage.load(40) as seen:
        stage.apply(entry(port))
        stage.apply(mirrored("v3", port))
        found = stage.wait_for_phase("answers", "rolled back")
    assert found["reason"].startswith("answers differ"), found["reason"]
    assert "body.version" in found["reason"]
    users = seen[0]["all"]
    assert users["succeeded"] == users["requests"]
    assert set(users["labels"]) == {"v1"}
    assert stage.routes() == [("v1", 0)]


def test_answers_that_do_not_differ_are_enough_for_an_end(stage: Stage, tmp_path: Path) -> None:
    """Both sides of this comparer are one app."""
    with comparer(stage, "v1", tmp_path) as (port, _), stage.load(40):
        stage.apply(entry(port))
        stage.apply(mirrored("v3", port))
        found = stage.wait_for_phase("answers", "finished")
    assert "compared ones differs beyond noise" in found["reason"], found["reason"]


def test_a_comparer_that_is_killed_is_held_and_then_ends_it(stage: Stage, tmp_path: Path) -> None:
    with comparer(stage, "v1", tmp_path) as (port, process), stage.load(40) as seen:
        stage.apply(entry(port))
        document = mirrored("v3", port, noData="2s")
        document["spec"]["strategy"]["mirror"]["requests"] = 100_000
        stage.apply(document)
        wait_until(lambda: "mirrors" in str(stage.plane.resources("VirtualService")), 30, "the mirror")
        process.signal(signal.SIGKILL)
        found = stage.wait_for_phase("answers", "rolled back")
    assert "no report can be had from the comparer" in found["reason"]
    assert seen[0]["all"]["succeeded"] == seen[0]["all"]["requests"]
