"""Every game day of examples/experiments on a running demo: its answer is the expected one, and it is undone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.cli.experiment_commands import EXPECTED, LESSON
from tests.harness.process import wait_until
from tests.integration.demo.stack import MESH, ROOT, Demo

pytestmark = pytest.mark.long

FILES = ROOT / "examples" / "experiments"
GAME_DAYS = (
    "breaker-saves-the-page",
    "control-plane-gone",
    "ratings-slow",
    "retry-storm",
    "reviews-leaks-errors",
    "zone-lost",
)
OTHERS = ("reviews-aa", "reviews-v3", "reviews-v3-mirrored")


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def experiment(name: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((FILES / f"{name}.yaml").read_text())
    found: dict[str, Any] = next(each for each in documents if each["kind"] == "Experiment")
    return found


def faults(demo: Demo) -> list[Any]:
    services = demo.plane.resources("VirtualService")
    return [route["fault"] for each in services for route in each["document"]["spec"]["http"] if "fault" in route]


@pytest.fixture(autouse=True)
def no_experiment_is_left(demo: Demo) -> Iterator[None]:
    yield
    for each in demo.plane.resources("Experiment"):
        demo.plane.delete("Experiment", "default", each["document"]["metadata"]["name"])
    wait_until(lambda: not demo.plane.resources("ExperimentRun"), 10, "no experiment is left")


@pytest.fixture
def more_load(demo: Demo) -> Iterator[None]:
    url = f"http://{demo.address}:{demo.port}/productpage"
    command = [*MESH, "load", url, "--rate", "10", "--duration", "600", "-o", "json"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    yield
    child.terminate()
    child.wait(30)


def test_every_file_has_a_test() -> None:
    assert {path.stem for path in FILES.glob("*.yaml")} == {*GAME_DAYS, *OTHERS}
    assert all(experiment(name)["metadata"]["annotations"][LESSON] for name in GAME_DAYS)


def start(demo: Demo, name: str, folder: Path) -> subprocess.Popen[str]:
    """The file, with shorter times; connections need theirs to be renewed where the fault is at the host's own sidecar."""
    text = (FILES / f"{name}.yaml").read_text()
    before = 20 if "at: upstream" in text else 6
    for field, seconds in (("before", before), ("duration", 12)):
        text = re.sub(rf"( {field}): \d+s", rf"\1: {seconds}s", text)
    (folder / "game-day.yaml").write_text(text)
    command = [*MESH, "experiment", "run", str(folder / "game-day.yaml"), "--no-tui"]
    env = {**os.environ, "MESH_SERVER": demo.server}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, cwd=ROOT)


@pytest.mark.usefixtures("more_load")
@pytest.mark.parametrize("name", GAME_DAYS)
def test_a_game_day_has_the_expected_answer(demo: Demo, name: str, tmp_path: Path) -> None:
    notes = experiment(name)["metadata"]["annotations"]
    with start(demo, name, tmp_path) as run:
        said = run.communicate(timeout=200)[0]
    found = demo.plane.experiment("default", name)
    shown = json.dumps({key: value for key, value in found.items() if key not in ("points", "document")}, indent=1)
    assert run.returncode == 0, said
    assert found["phase"] == "finished", shown
    if notes[EXPECTED] == "the hypothesis holds, or is not refuted":
        assert "does not hold" not in found["reason"], shown
    else:
        assert found["reason"].startswith(notes[EXPECTED]), shown
    assert f"expected: {notes[EXPECTED]}" in said
    assert "recovered after" in found["reason"], shown
    assert notes[LESSON].strip().splitlines()[0] in said
    assert found["candidate"]["requests"] > 20, shown
    assert faults(demo) == []


@pytest.mark.parametrize("name", ["zone-lost", "control-plane-gone"])
def test_whoever_runs_it_is_killed_and_what_was_paused_goes_on(demo: Demo, tmp_path: Path, name: str) -> None:
    """Paused processes are the runner's doing; its keeper mends them, and the experiment ends by itself."""
    if name == "zone-lost":
        victims = [demo.app_pid("reviews", "v2"), demo.app_pid("reviews", "v3")]
    else:
        victims = [demo.pid("mesh-control-plane")]
    with start(demo, name, tmp_path) as run:
        wait_until(lambda: all(state(pid) == "T" for pid in victims), 60, "they stand still")
        run.send_signal(signal.SIGKILL)
        wait_until(lambda: all(state(pid) != "T" for pid in victims), 20, "they go on")
    wait_until(lambda: demo.plane.experiment("default", name)["phase"] == "finished", 90, "it ends")
