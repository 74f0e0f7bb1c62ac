"""Containers are paused or killed, and go on whoever dies; with a command in the place of `docker` that keeps the state of
one container in a file. (tests/compose does it with a real engine.)"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from mesh.chaos.containers import of_service
from mesh.chaos.held import Held
from mesh.chaos.keeper import Breakage
from mesh.chaos.processes import ProcessError
from tests.harness.process import wait_until
from tests.unit.mesh.chaos.test_held import LONG, runner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="keepers are tried on Linux")
ENGINE = """#!/bin/sh
case "$1" in
ps) case "$*" in *nobody*) ;; *-p2*) echo "abc one"; echo "def two" ;; *) echo "abc one" ;; esac ;;
pause) case "$2" in frozen) echo "cannot freeze" >&2; exit 1 ;; esac; echo paused > {state} ;;
kill) echo exited > {state} ;;
unpause) grep -q paused {state} && echo running > {state} ;;
start) echo running > {state} ;;
esac
"""


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path, command = tmp_path / "state", tmp_path / "docker"
    path.write_text("running\n")
    command.write_text(ENGINE.format(state=path))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    return path


@pytest.mark.parametrize(("field", "broken"), [("paused_containers", "paused"), ("killed_containers", "exited")])
@pytest.mark.parametrize("who", ["nobody", "runner", "keeper"])
def test_a_container_goes_on(state: Path, field: str, broken: str, who: str) -> None:
    breakage = Breakage(LONG, **{field: tuple(of_service("reviews"))})
    if who == "runner":
        with runner(breakage) as process:
            assert process.stdout is not None and process.stdout.readline()
            assert state.read_text().strip() == broken
            process.send_signal(signal.SIGKILL)
            wait_until(lambda: state.read_text().strip() == "running", 20, "it goes on")
        return
    held = Held(breakage)
    assert state.read_text().strip() == broken
    if who == "keeper":
        os.kill(held.pid, signal.SIGKILL)
    held.mend()
    assert state.read_text().strip() == "running"


def test_what_cannot_be_paused_is_said_and_the_rest_goes_on(state: Path) -> None:
    with pytest.raises(ProcessError, match=r"^docker pause: cannot freeze$"):
        Held(Breakage(LONG, paused_containers=("abc", "frozen")))
    assert state.read_text().strip() == "running"


@pytest.mark.usefixtures("state")
def test_who_is_meant_has_to_be_clear() -> None:
    with pytest.raises(ProcessError, match="no container that runs is nobody"):
        of_service("nobody")
    with pytest.raises(ProcessError, match="more than one project: set COMPOSE_PROJECT_NAME to one of one, two"):
        of_service("reviews-p2")


def test_without_an_engine_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ProcessError, match="docker ps: "):
        of_service("reviews")
