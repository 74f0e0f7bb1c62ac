"""Stacks as their owners wrote them, without a mesh and with one by `mesh compose inject` alone: the same test passes."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.compose.conftest import no_engine
from tests.compose.stack import MESH, Compose
from tests.harness.ports import free_port
from tests.harness.process import wait_until

STACKS = Path(__file__).parent / "stacks"
SETTLE_SECONDS = 90.0
KEY = base64.b64encode(b"sixteen bytes ok").decode()

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]


def get(port: int, path: str = "/") -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, f"{path}: {response.status} {body[:300]!r}"
        return json.loads(body)
    finally:
        connection.close()


# ── what each stack is for ────────────────────────────────────────────────────────────────────────────────────────────


def stores(port: int) -> None:
    found = get(port)["stores"]
    assert found and set(found.values()) == {"ok"}, found


def prices(port: int) -> None:
    assert get(port)["price"] == "6.00"


def chat(port: int) -> None:
    assert get(port)["calls"]["http://names:8000/"]["service"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = "GET /room HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "
        connection.sendall(f"{head}{KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        assert answer.startswith(b"HTTP/1.1 101"), answer
        mask = b"abcd"
        connection.sendall(b"\x81\x85" + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(b"hello")))
        frame = answer.partition(b"\r\n\r\n")[2]
        while len(frame) < 7:
            frame += connection.recv(64)
        assert frame == b"\x81\x05hello"


def two_apis(port: int) -> None:
    assert get(port, "/users/")["service"]
    assert get(port, "/orders/")["calls"]["http://users:8000/"]["service"]


def jobs(port: int) -> None:
    job = uuid.uuid4().hex
    assert get(port, f"/job?{job}") == "queued"
    wait_until(lambda: get(port, f"/done?{job}") == "done", 20, "the job is done")


def calls(port: int) -> None:
    assert get(port)["calls"] == {"http://legacy:8000/health": "ok"}


def through_two_networks(port: int) -> None:
    api = get(port)["calls"]["http://api:8000/"]
    assert api["stores"] == {"postgresql://db:5432": "ok"}


CHECKS: dict[str, Callable[[int], None]] = {
    "web-redis-postgres": stores,
    "api-mongo-mysql": stores,
    "grpc-shop": prices,
    "chat": chat,
    "nginx-two-apis": two_apis,
    "worker": jobs,
    "legacy": calls,
    "two-networks": through_two_networks,
}


@contextmanager
def up(file: Path, port: int) -> Iterator[Compose]:
    project = f"meshstack{os.getpid()}-{file.stem}".lower()
    compose = Compose(
        ["--project-directory", str(STACKS), "-f", str(file)], project, {"WEB_PORT": str(port), "MESH_API_PORT": "0"}
    )
    try:
        compose.up()
        yield compose
    finally:
        compose.down()


def passes(check: Callable[[int], None], port: int) -> bool:
    try:
        check(port)
    except (AssertionError, OSError, ValueError, KeyError, TypeError):
        return False
    return True


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("meshed", [False, True], ids=["plain", "meshed"])
def test_a_stack_does_what_it_did(name: str, meshed: bool, tmp_path: Path) -> None:
    if reason := no_engine():
        pytest.skip(reason)
    file, check, port = STACKS / f"{name}.yml", CHECKS[name], free_port()
    if meshed:
        out = tmp_path / f"{name}.yml"
        subprocess.run([*MESH, "compose", "inject", str(file), "--out", str(out)], check=True)
        file = out
    with up(file, port) as compose:
        wait_until(lambda: passes(check, port), SETTLE_SECONDS, f"{name} works")
        for _ in range(5):
            check(port)
        if meshed:
            _seen_by_sidecars(compose)


def _seen_by_sidecars(compose: Compose) -> None:
    """Every pod's sidecar is up, in step, and at least one of them has passed requests or connections on."""
    pods = [name for name in compose.run("config", "--services").split() if name.endswith("-sidecar")]
    assert pods
    total = 0
    deadline = time.monotonic() + 20
    while not total and time.monotonic() < deadline:
        for pod in pods:
            stats = compose.run("exec", "-T", pod, "python", "-c", STATS)
            total += sum(int(float(line.rpartition(" ")[2])) for line in stats.splitlines())
    assert total > 0, "nothing went through the mesh"


STATS = """
import urllib.request
text = urllib.request.urlopen("http://127.0.0.1:15000/stats?filter=(downstream_cx_total|downstream_rq_total)$").read().decode()
print("\\n".join(line for line in text.splitlines() if line.startswith(("http.inbound", "http.outbound", "tcp."))))
"""
