"""All proxies at once: they lose their streams, or the control plane starts again, while the machine has other things to
do. Everybody is pushed what they need once, and nobody who was healthy counts as unhealthy in between."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from mesh.node import Node, ServicePort
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.harness.fleet import Fleet, fleet
from tests.harness.process import http_get
from tests.integration.control_plane.support import ControlPlane

STREAMS: Final = int(os.environ.get("MESH_STORM_STREAMS", "200"))
SERVICES: Final = 50
MOST_PUSHES: Final = 1.2
PATIENCE: Final = 120.0
TYPES: Final = {"cds": CLUSTER, "eds": ENDPOINT, "lds": LISTENER, "rds": ROUTE}


def nodes() -> list[Node]:
    return [
        Node(
            "sidecar",
            f"127.20.{n // 200}.{n % 200 + 1}",
            f"proxy-{n}",
            service=f"service-{n % SERVICES}",
            ports=(ServicePort(9080),),
        )
        for n in range(STREAMS)
    ]


@contextmanager
def busy() -> Iterator[None]:
    """Somebody else uses the processors."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def pushes(plane: ControlPlane) -> dict[str, int]:
    text = http_get(plane.metrics, "/metrics")[1]
    found = re.findall(r'^pilot_xds_pushes\{type="(\w+)"\} ([\d.]+)', text, re.MULTILINE)
    return {name: int(float(value)) for name, value in found}


async def all_back(plane: ControlPlane) -> None:
    """Every proxy is connected, and has everything."""

    def settled() -> bool:
        proxies = plane.call("GET", "/api/v1/proxies").body["items"]
        states = {state["state"] for proxy in proxies for state in proxy["types"].values()}
        return sum(proxy["connected"] for proxy in proxies) == STREAMS and states == {"SYNCED"}

    await asyncio.to_thread(plane.until, settled, "all proxies in sync", PATIENCE)


def assert_calm(plane: ControlPlane, everything: Fleet, before: dict[str, int]) -> None:
    now = pushes(plane)
    for name in TYPES:
        assert now.get(name, 0) - before.get(name, 0) <= MOST_PUSHES * STREAMS, (name, before, now)
    assert "is unhealthy" not in plane.process.log_path.read_text()
    workloads = plane.call("GET", "/api/v1/workloads").body["items"]
    assert [w["id"] for w in workloads if not w["healthy"]] == []
    assert len(workloads) == len(everything.proxies)


@pytest.mark.long
@pytest.mark.fault(16)
async def test_all_streams_are_lost_at_once_and_the_control_plane_starts_again(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path) as plane:
        async with fleet(plane.xds, nodes()) as everything:
            await all_back(plane)
            with busy():
                before = pushes(plane)
                everything.drop()
                await asyncio.sleep(1)  # until they notice
                await all_back(plane)
                assert_calm(plane, everything, before)
                plane.kill()
                await asyncio.to_thread(plane.start)
                await all_back(plane)
                assert_calm(plane, everything, {})
