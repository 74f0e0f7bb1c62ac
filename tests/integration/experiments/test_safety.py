"""Whatever happens, routes end as they should: processes that are killed, edits, deletions, silence."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.harness.process import Process, wait_until
from tests.integration.experiments.stage import ROUTES, Stage, experiment

pytestmark = pytest.mark.long

RATE = 60.0
# Long enough to be seen from a machine that others keep busy.
LONG = {
    "canary": {
        "steps": [{"weight": 20, "duration": "4s"}, {"weight": 50, "duration": "4s"}, {"weight": 80, "manual": True}]
    }
}
MIRRORED = {"canary": {"mirrorFirst": {"percent": 50, "requests": 120}, **LONG["canary"]}}


def kill(process: Process) -> None:
    process.signal(signal.SIGKILL)
    process.wait()


def document(stage: Stage) -> Any:
    return stage.plane.resources("VirtualService", "default", "reviews")[0]["document"]


def there(stage: Stage, candidate: str, where: str) -> Callable[[], bool]:
    """Whether the experiment is in a stage: that of copies, or one with a weight."""
    if where == "copies":
        return lambda: "mirrors" in document(stage)["spec"]["http"][0]
    return lambda: stage.routes() == [("v1", 100 - int(where)), (candidate, int(where))]


@pytest.mark.parametrize("where", ["copies", "20", "50", "80"])
def test_the_control_plane_is_killed_in_a_stage_and_goes_on(stage: Stage, where: str) -> None:
    with stage.load(RATE) as seen:
        stage.apply(experiment("killed", "v3", strategy=MIRRORED, checks=[{"errorIncrease": {"max": 5}}]))
        wait_until(there(stage, "v3", where), 30, f"the stage {where}")
        kill(stage.control_plane)
        stage.start_control_plane()
        splits = [[("v1", 100 - each), ("v3", each)] for each in (20, 50, 80)]
        assert stage.routes() in [[("v1", 0)], *splits][where != "copies" :]
        wait_until(lambda: stage.routes() == [("v1", 20), ("v3", 80)], 30, "the last stage")
        stage.plane.experiment_action("default", "killed", "promote")
        found = stage.wait_for_phase("killed", "promoted")
    assert "the control plane was started again" in [event["reason"] for event in found["events"]]
    assert seen[0]["all"]["succeeded"] == seen[0]["all"]["requests"], seen[0]["all"]


def test_deleted_while_the_control_plane_was_away_restores_what_was(stage: Stage) -> None:
    before = document(stage)
    with stage.load(RATE):
        stage.apply(experiment("gone", "v3", strategy=LONG))
        wait_until(lambda: stage.routes() == [("v1", 50), ("v3", 50)], 30, "the second stage")
        assert document(stage)["metadata"]["annotations"] == {"mesh.asyncmesh.io/experiment": "gone"}
        stage.plane.delete("Experiment", "default", "gone")
        kill(stage.control_plane)
        stage.start_control_plane()
        wait_until(lambda: document(stage) == before, 20, "the routes as they were")
    assert not stage.plane.resources("ExperimentRun")


def test_stop_restores_what_was_also_where_there_was_nothing(stage: Stage) -> None:
    stage.plane.delete("VirtualService", "default", "reviews")
    with stage.load(RATE):
        stage.apply(experiment("stopped", "v3", strategy=LONG))
        wait_until(lambda: stage.routes() == [("v1", 80), ("v3", 20)], 30, "the first stage")
        done = stage.mesh("experiment", "stop", "stopped", "--reason", "lunch")
        assert done.returncode == 0, done.stderr
        assert stage.routes() is None
    found = stage.experiment("stopped")
    assert (found["phase"], found["reason"]) == ("stopped", "lunch")


def test_an_edit_pauses_and_stays_and_resume_takes_over(stage: Stage) -> None:
    with stage.load(RATE):
        stage.apply(experiment("edited", "v3", strategy=LONG))
        wait_until(lambda: stage.routes() == [("v1", 80), ("v3", 20)], 30, "the first stage")
        stage.apply(ROUTES)
        found = stage.wait_for_phase("edited", "paused")
        assert "somebody else" in found["reason"]
        time.sleep(1)
        assert stage.routes() == [("v1", 0)]  # whoever edits has the last word
        assert stage.mesh("experiment", "resume", "edited").returncode == 0
        wait_until(lambda: stage.routes() != [("v1", 0)], 20, "routes of the experiment")
        stage.plane.experiment_action("default", "edited", "stop")
        assert stage.routes() == [("v1", 0)]
    again = stage.mesh("experiment", "stop", "edited")
    assert again.returncode == 1
    assert "is over (stopped)" in again.stderr


@pytest.mark.parametrize("where", ["copies", "20", "50", "80"])
def test_the_candidate_is_killed_and_nobody_is_sent_there_any_more(stage: Stage, where: str) -> None:
    guard = [{"errorShare": {"max": 30}, "minimumRequests": 5}]
    with stage.load(RATE) as seen:
        stage.apply(experiment("dead", "v2", strategy=MIRRORED, guards=guard))
        wait_until(there(stage, "v2", where), 30, f"the stage {where}")
        kill(stage.sidecars["v2"])
        try:
            found = stage.wait_for_phase("dead", "rolled back")
            assert stage.routes() == [("v1", 0)]
            assert "mirrors" not in document(stage)["spec"]["http"][0]
        finally:
            stage.start_sidecar("v2")
    if where != "copies":
        assert "guard" in found["reason"] or "errors" in found["reason"], found["reason"]
    elif found["weight"] == 0:  # nobody but copies went there
        assert seen[0]["all"]["succeeded"] == seen[0]["all"]["requests"], seen[0]["all"]


def test_a_guard_acts_within_an_interval(stage: Stage) -> None:
    guard = [{"errorShare": {"max": 30}, "minimumRequests": 5}]
    with stage.load(RATE):
        checks = [{"errorShare": {"max": 50}}]
        stage.apply(experiment("guarded", "v2", strategy=LONG, guards=guard, checks=checks))
        wait_until(lambda: stage.routes() == [("v1", 50), ("v2", 50)], 30, "the second stage")
        stage.behaviour["v2"].error = 0.4
        found = stage.wait_for_phase("guarded", "rolled back")
    assert found["reason"].startswith("guard: ")


def test_a_prometheus_that_is_gone_means_hold_then_roll_back(stage: Stage, tmp_path: Any) -> None:
    """Nothing is begun that could not be watched; what is watched no longer is ended."""
    with stage.load(RATE):
        nobody = experiment("blind", "v3", prometheus="http://127.0.0.1:1", strategy=LONG)
        stage.apply(nobody)
        found = wait_until(lambda: (stage.experiment("blind") or {}).get("next"), 10, "a word")
        assert "no metrics can be had" in found
        assert stage.routes() == [("v1", 0)]


def test_the_proxies_fall_silent(stage: Stage) -> None:
    with stage.load(RATE):
        stage.apply(experiment("silent", "v3", strategy=LONG, noData="2s"))
        wait_until(lambda: stage.routes() == [("v1", 80), ("v3", 20)], 30, "the first stage")
        for process in stage.sidecars.values():
            process.signal(signal.SIGSTOP)
        try:
            found = stage.wait_for_phase("silent", "rolled back", seconds=30)
        finally:
            for process in stage.sidecars.values():
                process.signal(signal.SIGCONT)
        assert "nothing was heard" in found["reason"]


def test_run_watch_list_and_report(stage: Stage, tmp_path: Any) -> None:
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(experiment("told", "v3", checks=[{"errorIncrease": {"max": 3}}])))
    with stage.load(RATE):
        done = stage.mesh("experiment", "run", str(file), "--no-tui")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promoted" in done.stdout
    listed = stage.mesh("experiment", "list")
    assert "told" in listed.stdout and "promoted" in listed.stdout
    page = stage.mesh("experiment", "report", "told").stdout
    assert page.startswith("<!doctype html>") and "<svg" in page
    assert not re.search(r"(src|href)=|url\(|@import", page)  # nothing is loaded
    text = stage.mesh("experiment", "report", "told", "-o", "markdown").stdout
    assert "| v3 (candidate)" in text
    nobody = stage.mesh("experiment", "watch", "nobody")
    assert nobody.returncode == 1 and "there is no experiment nobody" in nobody.stderr
