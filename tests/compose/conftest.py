"""One stack for all tests of this folder, brought up as a user does it, and taken down."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.stack import ROOT, Stack
from tests.harness.ports import free_ports

HERE = Path(__file__).parent
PROBE_SECONDS = 30
PULL_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test that needs the stack is marked; what can be said of files alone is not."""
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == HERE and "stack" in item.fixturenames:
            item.add_marker(pytest.mark.compose)
            item.add_marker(pytest.mark.timeout(1200))  # the first one waits for the image


def no_engine() -> str:
    """Why there is no container engine here; empty when there is one."""
    if shutil.which("docker") is None:
        return "there is no `docker` command on this machine"
    for command in (["docker", "info", "--format", "{{.ServerVersion}}"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return f"`{' '.join(command)}` gives no answer after {PROBE_SECONDS} s"
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()
            return f"`{' '.join(command)}`: {said[-1] if said else f'exit code {done.returncode}'}"
    return ""


def has_image(name: str) -> bool:
    """Whether this engine has an image, or can get it."""
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, timeout=PROBE_SECONDS).returncode == 0:
        return True
    return (
        subprocess.run(["docker", "pull", "--quiet", name], capture_output=True, timeout=PULL_SECONDS).returncode == 0
    )


def grafana_image() -> str:
    found = re.search(r"image: (grafana/\S+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Without Grafana where its image cannot be had: its own test says so, all the others do not need it."""
    if reason := no_engine():
        pytest.skip(f"no container engine: {reason}")
    profiles = ("dashboards",) if has_image(grafana_image()) else ()
    gateway, api, prometheus, grafana = free_ports(4)
    stack = Stack(f"mesh-test-{os.getpid()}", gateway, api, prometheus, grafana, profiles)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
