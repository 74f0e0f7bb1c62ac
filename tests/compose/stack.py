"""A running compose stack as the tests see it: pages, the `mesh` command, Prometheus."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import urllib.parse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NETWORKING = ROOT / "examples" / "bookinfo" / "networking"
MESH = [sys.executable, "-m", "mesh.cli.main"]
REVIEWS = re.compile(r'data-reviews-version="([\w.-]+)" data-reviews-instance="([\w.-]+)"')

# MESH_TEST_IMAGE=built takes the images as they are.
BUILD = () if os.environ.get("MESH_TEST_IMAGE") == "built" else ("--build",)
UP_SECONDS = 900  # with a cold cache the image's packages come over the line
COMMAND_SECONDS = 300  # `up --wait` after an outage waits for health checks
ASK_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def reviews(self) -> tuple[str, str]:
        """Version and instance of the reviews on a product page; ("none", "") when there are none."""
        found = REVIEWS.search(self.text)
        return (found[1], found[2]) if found else ("none", "")


@dataclass(frozen=True, slots=True)
class Compose:
    """`docker compose` with the options that name a project, and what its files may ask for."""

    options: Sequence[str]
    project: str
    variables: Mapping[str, str]

    def up(self) -> None:
        """AssertionError with the containers' last words when it fails."""
        done = self._done("up", *BUILD, "--wait", seconds=UP_SECONDS)
        if done.returncode:
            logs = self._done("logs", "--no-color", "--tail", "20").stdout
            raise AssertionError(f"docker compose up: {done.returncode}\n{done.stderr[-3000:]}\n{logs[-8000:]}")

    def down(self) -> None:
        self.run("down", "--volumes", "--remove-orphans", "--timeout", "3")

    def run(self, *words: str) -> str:
        done = self._done(*words)
        assert done.returncode == 0, f"docker compose {' '.join(words)}: {done.stderr}"
        return done.stdout

    def _done(self, *words: str, seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "-p", self.project, *self.options, *words]
        environment = {**os.environ, **self.variables}
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment)


@dataclass(frozen=True, slots=True)
class Stack:
    """`profiles` are compose profiles that start, too."""

    project: str
    gateway: int
    api: int
    prometheus: int
    grafana: int
    profiles: tuple[str, ...] = ()
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        ports = {"GATEWAY": self.gateway, "API": self.api, "PROMETHEUS": self.prometheus, "GRAFANA": self.grafana}
        own = {f"MESH_{name}_PORT": str(port) for name, port in ports.items()}
        own |= {"COMPOSE_PROJECT_NAME": self.project, "COMPOSE_PROFILES": ",".join(self.profiles)}
        object.__setattr__(self, "environment", {**os.environ, **own, "MESH_SERVER": f"http://127.0.0.1:{self.api}"})

    # ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def up(self) -> None:
        """What a user types. AssertionError with the containers' last words when it fails."""
        done = self._run(["docker", "compose", "up", *BUILD, "--wait"], UP_SECONDS)
        if done.returncode:
            logs = self.compose("logs", "--no-color", "--tail", "20", check=False)
            raise AssertionError(
                f"docker compose up: exit code {done.returncode}\n{done.stderr[-4000:]}\n{logs[-8000:]}"
            )

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    def compose(self, *words: str, check: bool = True) -> str:
        """The output of a `docker compose` command."""
        done = self._run(["docker", "compose", *words], COMMAND_SECONDS)
        assert not check or done.returncode == 0, f"docker compose {' '.join(words)}: {done.stderr}"
        return done.stdout

    def exec(self, service: str, *words: str) -> str:
        """The output of a command in a container."""
        return self.compose("exec", "-T", service, *words)

    def mesh(self, *words: str) -> str:
        """The output of the `mesh` command on this machine, through the published port of the API."""
        done = self._run([*MESH, *words], COMMAND_SECONDS)
        assert done.returncode == 0, f"mesh {' '.join(words)}: {done.stderr}"
        return done.stdout

    def apply(self, name: str) -> None:
        """One of the example's routing files, in effect when it returns."""
        self.mesh("apply", "--wait", "-f", str(NETWORKING / name))

    def _run(self, command: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=ROOT, env=self.environment)

    # ── traffic ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, path: str = "/productpage", headers: Mapping[str, str] | None = None) -> Reply:
        """From the gateway."""
        return self.get_many(1, path, headers)[0]

    def get_many(self, count: int, path: str = "/productpage", headers: Mapping[str, str] | None = None) -> list[Reply]:
        """From the gateway, over one connection."""
        return ask("127.0.0.1", self.gateway, path, count, headers)

    def versions(self, count: int) -> Counter[str]:
        """Which versions of reviews so many product pages show; every one has to be whole."""
        replies = self.get_many(count)
        assert {reply.status for reply in replies} == {200}
        return Counter(reply.reviews[0] for reply in replies)

    # ── Prometheus ────────────────────────────────────────────────────────────────────────────────────────────────────

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query: `metric` (labels) and `value` (time, text)."""
        path = f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        answer = json.loads(ask("127.0.0.1", self.prometheus, path)[0].text)
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def targets(self) -> list[dict[str, Any]]:
        answer = json.loads(ask("127.0.0.1", self.prometheus, "/api/v1/targets")[0].text)
        found: list[dict[str, Any]] = answer["data"]["activeTargets"]
        return found


def ask(address: str, port: int, path: str, count: int = 1, headers: Mapping[str, str] | None = None) -> list[Reply]:
    connection = http.client.HTTPConnection(address, port, timeout=ASK_SECONDS)
    replies = []
    try:
        for _ in range(count):
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            replies.append(Reply(response.status, fields, response.read().decode()))
    finally:
        connection.close()
    return replies
