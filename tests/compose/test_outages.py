"""What fails, and for how long, when a container of each kind is killed, stopped, frozen or restarted under load.

Writes its table into the file that MESH_WRITE_OUTAGES names; docs/compose.md has one. What is asserted: every kind heals by
itself, and no app is left dead by its sidecar.
"""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.compose.stack import Stack
from tests.harness.process import wait_until

RATE = float(os.environ.get("MESH_OUTAGES_RATE", "10"))  # product pages a second
AWAY_SECONDS = 5.0
FREEZE_SECONDS = 60.0
HEALED_SECONDS = 5.0  # without a failure
MOST_SECONDS = 150.0
KINDS = {
    "sidecar": "reviews-v3-sidecar",
    "app": "reviews-v3",
    "pod (network owner)": "reviews-v3-pod",
    "control plane": "control-plane",
    "gateway": "gateway",
}


def kill(stack: Stack, name: str) -> None:
    stack.compose("kill", name)
    stack.compose("start", name)


def stop(stack: Stack, name: str) -> None:
    stack.compose("stop", name)
    time.sleep(AWAY_SECONDS)
    stack.compose("start", name)


def pause(stack: Stack, name: str) -> None:
    wait_until(lambda: _paused(stack, name), FREEZE_SECONDS, f"{name} is frozen")
    time.sleep(AWAY_SECONDS)
    stack.compose("unpause", name)


def _paused(stack: Stack, name: str) -> bool:
    """Whether it is frozen now: the engine gives up where processes do not get the processor that freezing takes."""
    stack.compose("pause", name, check=False)
    return stack.compose("ps", "--status", "paused", "--quiet", name, check=False).strip() != ""


def restart(stack: Stack, name: str) -> None:
    stack.compose("restart", name)


ACTIONS: dict[str, Callable[[Stack, str], None]] = {
    "killed, started": kill,
    f"stopped for {AWAY_SECONDS:g} s, started": stop,
    f"frozen for {AWAY_SECONDS:g} s": pause,
    "restarted": restart,
}


@dataclass
class Load:
    """Product pages at a rate, each on a connection of its own; a page without reviews is a failure, too."""

    port: int
    stopped: threading.Event = field(default_factory=threading.Event)
    results: list[tuple[float, bool]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopped.is_set():
            thread = threading.Thread(target=self._page)
            thread.start()
            self.threads.append(thread)
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))
        for thread in self.threads:
            thread.join()

    def _page(self) -> None:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/productpage")
            answer = connection.getresponse()
            good = answer.status == 200 and b'data-reviews-version="none"' not in answer.read()
        except (OSError, http.client.HTTPException):
            good = False
        finally:
            connection.close()
        self.results.append((began, good))

    def quiet(self) -> bool:
        """Whether nothing has failed for a while."""
        since = time.monotonic() - HEALED_SECONDS
        recent = [good for at, good in self.results if at > since]
        return len(recent) > RATE and all(recent)


@pytest.mark.fault(39)
@pytest.mark.timeout(3600)  # twenty outages, each until nothing has failed for a while
def test_every_kind_of_container_comes_back(stack: Stack) -> None:
    rows = ["| container | what happens | pages | failed | for |", "|---|---|---|---|---|"]
    for kind, name in KINDS.items():
        for action, do in ACTIONS.items():
            rows.append(_row(stack, kind, name, action, do))
            print(rows[-1], flush=True)
            if path := os.environ.get("MESH_WRITE_OUTAGES"):
                Path(path).write_text("\n".join(rows) + "\n")


def _row(stack: Stack, kind: str, name: str, action: str, do: Callable[[Stack, str], None]) -> str:
    load = Load(stack.gateway)
    runner = threading.Thread(target=load.run)
    runner.start()
    try:
        time.sleep(1.0)
        do(stack, name)
        deadline = time.monotonic() + MOST_SECONDS
        while not load.quiet():
            assert time.monotonic() < deadline, f"{kind}, {action}: still failing"
            time.sleep(0.2)
    finally:
        load.stopped.set()
        runner.join()
    stack.compose("up", "--wait", "--no-recreate", check=False)  # 1 while a health check has not looked again
    wait_until(lambda: _serves(stack, "v3"), MOST_SECONDS, f"{kind}, {action}: reviews v3 serves again")
    failed = sorted(at for at, good in load.results if not good)
    seconds = failed[-1] - failed[0] if failed else 0.0
    return f"| {kind} | {action} | {len(load.results)} | {len(failed)} | {f'{seconds:.1f} s' if failed else '–'} |"


def _serves(stack: Stack, version: str) -> bool:
    """Whether the version is among those that answer; pages that fail meanwhile are in the table already."""
    try:
        return any(reply.reviews[0] == version for reply in stack.get_many(30))
    except OSError:
        return False
