"""Between sidecars HTTP/1.1 requests may travel over HTTP/2 (`h2UpgradePolicy: UPGRADE`), which saves connections."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.harness.ports import free_network, free_port
from tests.harness.process import Process, http_get, wait_until
from tests.integration.control_plane.support import ControlPlane

MESH = [sys.executable, "-m", "mesh.cli.main"]
AT_ONCE = 40
RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: slow}
spec:
  host: slow
  trafficPolicy: {connectionPool: {http: {h2UpgradePolicy: %s}}}
"""
APP = """
import asyncio, sys
from aiohttp import web

async def answer(request):
    await asyncio.sleep(0.3)
    return web.Response(text=f"{request.version.major}.{request.version.minor} {await request.text()}")

app = web.Application()
app.router.add_route("*", "/{path:.*}", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


class Mesh:
    """A control plane, a service that speaks HTTP/1.1, and a client's sidecar."""

    def __init__(self, folder: Path) -> None:
        network, port = free_network(), free_port()
        self.plane = ControlPlane(f"sqlite:///{folder}/mesh.db", folder)
        self.plane.start()
        self.client, self.server = f"{network}.9", f"{network}.1"
        app = [sys.executable, "-c", APP, str(port)]
        sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
        self._processes = [
            self._run(folder / "slow.log", self.server, "--service", "slow", "--port", f"9080:{port}", "--", *app),
            self._run(folder / "client.log", self.client, "--service", "client", "--", *sleep),
        ]

    def _run(self, log: Path, address: str, *told: str) -> Process:
        where = ["--xds", f"127.0.0.1:{self.plane.xds}", "--address", address]
        return Process([*MESH, "run", *where, *told], log)

    def apply(self, text: str) -> None:
        """And waits until it is in effect."""
        command = [*MESH, "apply", "--wait", "--server", f"http://127.0.0.1:{self.plane.http}", "-f", "-"]
        subprocess.run(command, input=text, text=True, capture_output=True, timeout=60, check=True)

    def healthy(self) -> bool:
        return sum(map(all, self.plane.workloads().values())) == 2

    def stat(self, address: str, pattern: str) -> int:
        """The sum of the client's or the server's counters with such a name."""
        status, text = http_get(15000, f"/stats?format=json&filter={pattern}", address)
        assert status == 200, text
        return sum(int(each["value"]) for each in json.loads(text)["stats"] if "value" in each)

    def stop(self) -> None:
        for process in self._processes:
            process.stop()
        self.plane.process.stop()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    made = Mesh(tmp_path_factory.mktemp("upgrade"))
    try:
        wait_until(made.healthy, 60, "two workloads")
        yield made
    finally:
        made.stop()


async def ask(mesh: Mesh, count: int) -> set[str]:
    """So many requests at once, each on a connection of its own; the answers."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(number: int) -> str:
            url, proxy = "http://slow:9080/", f"http://{mesh.client}:15001"
            async with session.post(url, proxy=proxy, data=f"{number}") as response:
                assert (response.status, response.version) == (200, aiohttp.HttpVersion11)
                return await response.text()

        return set(await asyncio.gather(*map(one, range(count))))


async def answers(mesh: Mesh) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                await ask(mesh, 1)
            except (AssertionError, aiohttp.ClientError):
                await asyncio.sleep(0.1)
            else:
                return


@pytest.mark.parametrize(("policy", "connections"), [("DO_NOT_UPGRADE", AT_ONCE), ("UPGRADE", 1)])
async def test_how_many_connections_requests_take(mesh: Mesh, policy: str, connections: int) -> None:
    await asyncio.to_thread(mesh.apply, RULE % policy)
    await answers(mesh)
    assert await ask(mesh, AT_ONCE) == {
        f"1.1 {number}" for number in range(AT_ONCE)
    }  # the app sees HTTP/1.1 both times
    assert await asyncio.to_thread(mesh.stat, mesh.client, "outbound.*slow.*upstream_cx_active") == connections
    http2 = await asyncio.to_thread(mesh.stat, mesh.server, "http.*downstream_cx_http2_active")
    assert http2 == (1 if policy == "UPGRADE" else 0)
