"""The demo's processes: all started at once, waited for, supervised, and stopped in order.

Receives a `Plan` and a folder for logs, bootstraps and the store; `start()` returns when the product page is served.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from mesh.bootstrap import bootstrap, render
from mesh.cli.addresses import can_listen
from mesh.cli.client import ControlPlane
from mesh.cli.demo_plan import Member, Plan
from mesh.cli.errors import CliError, alone
from mesh.cli.examples import NETWORKING, ROOT
from mesh.cli.process import Process
from mesh.cli.sidecar import Sidecar, Start, ask, console_script, environment, write_bootstrap
from mesh.cli.supervised import Report, Supervised

FIRST_FILES = ("gateway.yaml", "destination-rules.yaml")
POLL_SECONDS = 0.1  # more often, and a dozen polls take the processor from what they wait for
START_SECONDS = 180.0  # on a machine with much else to do; one that ended is noticed at once
QUIET_SECONDS = 6.0  # without a word about what is waited for
STOP_SECONDS = 3.0


def check_free(plan: Plan) -> None:
    """CliError naming every address that somebody else has."""
    taken = [f"{host}:{port}  for {whose}" for whose, (host, port) in plan.sockets() if not can_listen(host, port)]
    if taken:
        raise CliError(
            "the demo needs addresses that are taken",
            *taken,
            "is another demo running? It has to end first. Another port for the gateway: --port",
        )


def first_files(gateway_port: int) -> list[dict[str, str]]:
    """What the demo applies at the start, with the gateway on its port."""
    import yaml

    files: list[dict[str, str]] = []
    for name in FIRST_FILES:
        documents = list(yaml.safe_load_all((NETWORKING / name).read_text(encoding="utf-8")))
        for document in documents:
            if document["kind"] == "Gateway":
                document["spec"]["servers"][0]["port"]["number"] = gateway_port
        files.append({"name": name, "text": yaml.safe_dump_all(documents, sort_keys=False)})
    return files


class Stack:
    """`report` gets what happens to the processes, a line at a time."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        programs: Mapping[str, tuple[str, ...]],
        store: str,
        report: Report,
        otlp_endpoint: str = "",
    ) -> None:
        self.plan = plan
        self._folder = folder
        self._otlp_endpoint = otlp_endpoint
        self._report = report
        self._answered = "not asked yet"
        self._awaited: set[str] = set()
        self._told = False
        self.control_plane = Supervised("the control plane", lambda: self._control_plane(store), report)
        self.sidecars = {member.name: self._sidecar(member, programs[member.name]) for member in plan.members}
        self.apps = {member.name: self._app(member) for member in plan.workloads}

    async def start(self) -> None:
        """CliError when a part does not come up, with its last log lines; `stop()` has to be called all the same."""
        deadline = time.monotonic() + START_SECONDS
        parts: list[Supervised] = [self.control_plane, *self.sidecars.values(), *self.apps.values()]
        for part in parts:
            await part.start()
        with alone():
            async with asyncio.TaskGroup() as group:
                group.create_task(self._configure(deadline))
                for sidecar in self.sidecars.values():
                    group.create_task(self._sidecar_ready(sidecar, deadline))
                for member in self.plan.workloads:
                    group.create_task(self._app_ready(member, deadline))
        await self._until(self._joined, deadline, "all workloads in the registry")
        await self._until(self._serves, deadline, f"an answer from {self.plan.url}")
        for part in parts:
            part.supervise()

    async def _sidecar_ready(self, sidecar: Sidecar, deadline: float) -> None:
        async def ready() -> bool:
            sidecar.check_running()
            return await sidecar.state() == "LIVE"

        await self._until(ready, deadline, sidecar.name)

    async def stop(self) -> None:
        """The way in first, then the services and their sidecars, then the control plane."""
        gateway = self.sidecars[self.plan.gateway.name]
        await gateway.drain()
        await gateway.stop(STOP_SECONDS)
        for part in (self.control_plane, *self.sidecars.values(), *self.apps.values()):
            await part.release()
        async with asyncio.TaskGroup() as group:
            for part in (*self.sidecars.values(), *self.apps.values()):
                group.create_task(part.stop(STOP_SECONDS))
        await self.control_plane.stop(STOP_SECONDS)

    async def _configure(self, deadline: float) -> None:
        plane = ControlPlane(self.plan.server)

        async def ready() -> bool:
            self.control_plane.check_running()
            return await asyncio.to_thread(plane.ready)

        await self._until(ready, deadline, "the control plane")
        await asyncio.to_thread(plane.apply, first_files(self.plan.gateway_port))

    async def _app_ready(self, member: Member, deadline: float) -> None:
        async def ready() -> bool:
            self.apps[member.name].check_running()
            return (await asyncio.to_thread(ask, *member.app, "GET", "/health"))[0] == 200

        await self._until(ready, deadline, member.name)

    async def _joined(self) -> bool:
        workloads: list[Any] = await asyncio.to_thread(ControlPlane(self.plan.server).workloads)
        joined = {(workload["service"], workload["labels"].get("version")) for workload in workloads}
        return all((member.node.service, member.node.version) in joined for member in self.plan.workloads)

    async def _serves(self) -> bool:
        address, port = self.plan.gateway.node.address, self.plan.gateway_port
        status, body = await asyncio.to_thread(ask, address, port, "GET", "/productpage")
        self._answered = f"{status} {body[:200]}" if status else "nobody listens"
        return status == 200

    async def _until(self, check: Callable[[], Awaitable[bool]], deadline: float, what: str) -> None:
        self._awaited.add(what)
        while not await check():
            left = deadline - time.monotonic()
            if left < 0:
                raise CliError(f"{what}: not within {START_SECONDS:g} s", *self._last_words())
            if left < START_SECONDS - QUIET_SECONDS and not self._told:
                self._report(f"still waiting for {', '.join(sorted(self._awaited))}")
                self._told = True
            await asyncio.sleep(POLL_SECONDS)
        self._awaited.discard(what)

    def _last_words(self) -> list[str]:
        """What the gateway and the control plane said: most of what does not come up waits for them."""
        gateway = self.sidecars[self.plan.gateway.name].process
        return [
            f"the product page's last answer: {self._answered}",
            "the gateway's last words:",
            *gateway.tail(),
            "the control plane's last words:",
            *self.control_plane.process.tail(),
        ]

    def _control_plane(self, store: str) -> Process:
        plan = self.plan
        addresses = {"--xds-address": plan.xds, "--http-address": plan.http, "--metrics-address": plan.metrics}
        flags = [word for flag, (host, port) in addresses.items() for word in (flag, f"{host}:{port}")]
        store = store or f"sqlite:///{self._folder / 'store.db'}"
        if self._otlp_endpoint:
            flags += ["--otlp-endpoint", self._otlp_endpoint]
        command = [*console_script("mesh-control-plane", "control_plane.app"), "--store", store, *flags]
        return Process(command, self._folder / "control-plane.log", cwd=self._folder)

    def _sidecar(self, member: Member, program: tuple[str, ...]) -> Sidecar:
        text = render(bootstrap(member.node, *self.plan.xds, member.ports))
        path = write_bootstrap(self._folder, member.name, text)
        log = self._folder / f"{member.name}.sidecar.log"
        return Sidecar(Start(member.name, program, path, member.admin, self.plan.xds, log), self._report)

    def _app(self, member: Member) -> Supervised:
        env = environment(member.node.address, member.ports.outbound, os.environ, member.name)
        log = self._folder / f"{member.name}.log"
        return Supervised(member.name, lambda: Process(member.command, log, env, ROOT), self._report)
