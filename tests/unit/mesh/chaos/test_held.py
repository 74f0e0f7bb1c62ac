"""Faults of real processes, each undone: by its end, and by whoever outlives whom."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesh.chaos.held import Held
from mesh.chaos.keeper import Breakage
from mesh.chaos.processes import ProcessError, Target, listening, of_workload
from tests.harness.process import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
LONG = 60.0
NAME = f"victim-{os.getpid()}"
RUNNER = """
import sys, time
from mesh.chaos.held import Held
from mesh.chaos.keeper import Breakage
held = Held(Breakage.decode(sys.argv[1]))
print(held.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with subprocess.Popen(command, env={**os.environ, "POD_NAME": NAME}) as process:
        wait_until(lambda: state(process.pid) == "S", 10, "it sleeps")
        yield process
        process.kill()


def state(pid: int) -> str:
    """As the kernel has it: S sleeps, T is stopped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def runner(breakage: Breakage) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUNNER, breakage.encode()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_workload_is_paused_until_it_is_mended(victim: subprocess.Popen[bytes]) -> None:
    targets = tuple(of_workload(NAME))
    assert [target.pid for target in targets] == [victim.pid]
    with Held(Breakage(LONG, paused=targets)):
        wait_until(lambda: state(victim.pid) == "T", 10, "it stands still")
    wait_until(lambda: state(victim.pid) == "S", 10, "it goes on")


def test_a_pause_ends_with_its_time(victim: subprocess.Popen[bytes]) -> None:
    held = Held(Breakage(0.5, paused=tuple(of_workload(NAME))))
    wait_until(lambda: held.over, 10, "its time is over")
    assert state(victim.pid) == "S"
    held.mend()


def test_whoever_asked_is_killed_and_it_is_undone(victim: subprocess.Popen[bytes]) -> None:
    with runner(Breakage(LONG, paused=tuple(of_workload(NAME)))) as process:
        assert process.stdout is not None and process.stdout.readline()
        wait_until(lambda: state(victim.pid) == "T", 10, "it stands still")
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: state(victim.pid) == "S", 10, "it goes on")


def test_the_keeper_is_killed_and_whoever_asked_undoes_it(victim: subprocess.Popen[bytes]) -> None:
    held = Held(Breakage(LONG, paused=tuple(of_workload(NAME))))
    wait_until(lambda: state(victim.pid) == "T", 10, "it stands still")
    os.kill(held.pid, signal.SIGKILL)
    held.mend()
    wait_until(lambda: state(victim.pid) == "S", 10, "it goes on")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_keeper_that_is_told_to_end_mends_first(victim: subprocess.Popen[bytes], number: signal.Signals) -> None:
    held = Held(Breakage(LONG, paused=tuple(of_workload(NAME))))
    os.kill(held.pid, number)
    wait_until(lambda: state(victim.pid) == "S", 10, "it goes on")
    held.mend()


def test_a_workload_is_killed(victim: subprocess.Popen[bytes]) -> None:
    with Held(Breakage(LONG, killed=tuple(of_workload(NAME)))):
        assert victim.wait(10) == -signal.SIGKILL


def test_connections_are_held_and_end_with_a_killed_runner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with runner(Breakage(LONG, connections=("127.0.0.1", port, 50))) as process:
            assert process.stdout is not None and process.stdout.readline()
            taken = [server.accept()[0] for _ in range(50)]
            process.send_signal(signal.SIGKILL)
            for each in taken:
                each.settimeout(10)
                assert each.recv(1) == b""
                each.close()


def test_only_the_process_that_was_meant_gets_a_signal(victim: subprocess.Popen[bytes]) -> None:
    (target,) = of_workload(NAME)
    assert not Target(target.pid, target.began + 1).send(signal.SIGKILL)
    assert victim.poll() is None
    victim.kill()
    victim.wait()
    assert not target.send(signal.SIGCONT)


def test_who_is_not_there_is_said() -> None:
    with pytest.raises(ProcessError, match="no process of this machine is workload nobody"):
        of_workload("nobody")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert listening("127.0.0.1", port).pid == os.getpid()
    with pytest.raises(ProcessError, match="no process of this user listens"):
        listening("127.0.0.1", port)
