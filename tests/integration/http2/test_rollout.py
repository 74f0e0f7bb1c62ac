"""Fifty rule changes and a rolling restart of all servers under gRPC load: no unary call fails, streams end or go on."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from examples.grpc.service import Greeter, text
from tests.harness.ports import free_network, free_port
from tests.harness.process import Process, wait_until
from tests.integration.control_plane.support import ControlPlane

pytestmark = pytest.mark.long

CHANGES = 50
MESH = [sys.executable, "-m", "mesh.cli.main"]
RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: greeter}
spec:
  hosts: [greeter]
  http:
  - name: change-%d
    retries: {attempts: 10, retryOn: "connect-failure,refused-stream,unavailable,cancelled,reset", backoff: 25ms}
    headers: {response: {set: {x-change: "%d"}}}
    route:
    - destination: {host: greeter}
"""


class Mesh:
    """A control plane, two greeters with sidecars, and a client's sidecar."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = free_network()
        self._runs = 0
        self.plane = ControlPlane(f"sqlite:///{folder}/mesh.db", folder)
        self.plane.start()
        self.client = f"{self._network}.9"
        self.workloads = {version: self._greeter(version) for version in ("v1", "v2")}
        told = ["--service", "client", "--", sys.executable, "-c", "import time; time.sleep(1000)"]
        self._client = self._run("client", "9", told)

    def _greeter(self, version: str) -> Process:
        port = free_port()
        app = [sys.executable, "-m", "examples.grpc.greeter", "--port", str(port), "--version", version]
        told = [
            "--service",
            "greeter",
            "--version",
            version,
            "--port",
            f"50051:{port}",
            "--protocol",
            "grpc",
            "--",
            *app,
        ]
        return self._run(version, version[1:], told)

    def _run(self, name: str, number: str, told: list[str]) -> Process:
        self._runs += 1
        where = ["--xds", f"127.0.0.1:{self.plane.xds}", "--address", f"{self._network}.{number}"]
        return Process([*MESH, "run", *where, *told], self._folder / f"{name}-{self._runs}.log")

    def restart(self, version: str) -> None:
        self.workloads[version].stop()
        self.workloads[version] = self._greeter(version)

    def healthy(self) -> bool:
        return sum(map(all, self.plane.workloads().values())) == 3

    def stop(self) -> None:
        for process in (self._client, *self.workloads.values()):
            process.stop()
        self.plane.process.stop()


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    made = Mesh(tmp_path)
    yield made
    made.stop()


class Load:
    """Unary calls one after another, and long chats, until told to stop."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.stop = asyncio.Event()
        self.unary: Counter[str] = Counter()
        self.chats: Counter[str] = Counter()
        self.failures: list[str] = []

    async def calls(self) -> None:
        while not self.stop.is_set():
            try:
                answer = await self._client.hello(text("Ada"), timeout=20)
                self.unary[answer.value.rpartition(" ")[2]] += 1
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"{error.code()}: {error.details()}")

    async def chatting(self) -> None:
        while not self.stop.is_set():
            call = self._client.chat()
            try:
                while not self.stop.is_set():
                    await call.write(text("a"))
                    answer = await call.read()
                    if answer is grpc.aio.EOF:
                        break
                    assert answer.value == "a!"
                    self.chats["messages"] += 1
                    await asyncio.sleep(0.02)
                await call.done_writing()
                self.chats[(await call.code()).name] += 1
            except grpc.aio.AioRpcError as error:
                self.chats[error.code().name] += 1
            except asyncio.InvalidStateError:
                self.chats[(await call.code()).name] += 1


async def both_answer(client: Any) -> None:
    """Waits until the apps behind the sidecars have started, too."""
    seen: set[str] = set()
    async with asyncio.timeout(30):
        while len(seen) < 2:
            try:
                answer = await client.hello(text("Ada"), timeout=5)
                seen.add(answer.value)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)


@pytest.mark.complaint(15)
async def test_rule_changes_and_a_rolling_restart_under_load(mesh: Mesh) -> None:
    await asyncio.to_thread(wait_until, mesh.healthy, 60, "three workloads")
    assert mesh.plane.apply(RULES % (0, 0)).status == 200
    options = [("grpc.http_proxy", f"http://{mesh.client}:15001")]
    async with grpc.aio.insecure_channel("greeter:50051", options=options) as channel:
        await both_answer(Greeter(channel))
        load = Load(Greeter(channel))
        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(each) for each in (*(load.calls() for _ in range(3)), *(load.chatting() for _ in range(3)))
        ]
        for number in range(1, CHANGES + 1):
            answer = await asyncio.to_thread(mesh.plane.apply, RULES % (number, number))
            assert answer.status == 200
            await asyncio.sleep(0.05)
            if number in (15, 35):
                await asyncio.to_thread(mesh.restart, "v1" if number == 15 else "v2")
                await asyncio.to_thread(wait_until, mesh.healthy, 30, "the restarted greeter")
                await asyncio.sleep(0.5)
        load.stop.set()
        await asyncio.wait(tasks, timeout=25)
        assert all(task.done() and task.exception() is None for task in tasks)
    assert load.failures == []
    assert load.unary["v1"] > 20 and load.unary["v2"] > 20
    assert load.chats["messages"] > 50
    assert set(load.chats) <= {"messages", "OK", "UNAVAILABLE", "CANCELLED", "INTERNAL"}
