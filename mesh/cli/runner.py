"""`mesh run`: bootstrap → sidecar → app; signals to the app; the app's end is the sidecar's, too."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mesh.bootstrap import admin_address, bootstrap, render
from mesh.cli.errors import USAGE, CliError, alone
from mesh.cli.process import Process
from mesh.cli.sidecar import Sidecar, Start, ask, environment, proxy_program, write_bootstrap
from mesh.cli.start_settings import StartSettings, looked_up
from mesh.cli.workload import Described, Workload, describe
from mesh.node import INTERCEPT_NONE

FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
USED = "http.outbound_http_proxy.downstream_cx_total"
UNUSED = (
    "the app never used its proxy: if it calls other services over HTTP or gRPC, those calls went past the mesh.\n"
    "  Python's aiohttp needs ClientSession(trust_env=True), Java -Dhttp.proxyHost (gRPC: -Dhttps.proxyHost),\n"
    "  grpc-go HTTPS_PROXY=$http_proxy; docs/clients.md has the others"
)
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


def run_workload(workload: Workload, command: Sequence[str], ready_timeout: float, proxy: str, proxy_log: str) -> int:
    """Runs `command` beside a sidecar until it ends; its exit code."""
    program = proxy_program(proxy)
    described = describe(workload)
    node = described.node
    if proxy and node.probe is not None:
        described.reservation.release()
        raise CliError(
            "the group has a probe, which needs our sidecar: another --proxy does not ask its app", code=USAGE
        )
    settings, problem = looked_up(workload.plane, bool(workload.server), node.namespace, node.labels)
    if problem:
        _report(problem)
    try:
        with tempfile.TemporaryDirectory(prefix="mesh-run-") as folder:
            start = _start(described, (*program, *settings.flags(ours=not proxy)), Path(folder), proxy_log, settings)
            return asyncio.run(_Runner(described, start, command).run(ready_timeout))
    finally:
        described.reservation.release()


def _start(
    described: Described, program: tuple[str, ...], folder: Path, proxy_log: str, settings: StartSettings
) -> Start:
    node, ports = described.node, described.reservation.ports
    text = render(bootstrap(node, *described.xds, ports))
    log = None if proxy_log == "-" else Path(proxy_log) if proxy_log else folder / "sidecar.log"
    admin = (admin_address(node.address), ports.admin)
    return Start(
        node.name, program, write_bootstrap(folder, node.name, text), admin, described.xds, log, settings.environment
    )


class _Runner:
    """The app and its sidecar. A signal that comes before the app runs ends everything."""

    def __init__(self, described: Described, start: Start, command: Sequence[str]) -> None:
        self._described = described
        self._sidecar = Sidecar(start, _report)
        self._app = Process(command, env=self._environment(), own_group=False)
        self._early: signal.Signals | None = None
        self._starting: asyncio.Task[None] | None = None

    async def run(self, ready_timeout: float) -> int:
        loop = asyncio.get_running_loop()
        for number in FORWARDED:
            loop.add_signal_handler(number, self._signalled, number)
        try:
            with alone():
                async with asyncio.TaskGroup() as group:
                    self._starting = group.create_task(self._prepare(ready_timeout))
        except CliError:
            await self._sidecar.stop()
            raise
        if self._early is not None:
            await self._sidecar.stop()
            return 128 + self._early
        try:
            await self._app.start()
            code = await self._app.wait()
            await self._tell_when_unused()
            return code
        finally:
            await self._sidecar.drain()
            await self._sidecar.stop()

    async def _prepare(self, ready_timeout: float) -> None:
        await self._sidecar.start()
        await self._sidecar.wait_ready(ready_timeout)
        self._sidecar.supervise()

    async def _tell_when_unused(self) -> None:
        """HTTP libraries that do not look at `http_proxy` go past the mesh, and nothing else shows it."""
        if self._described.node.interception != INTERCEPT_NONE:
            return
        status, text = await asyncio.to_thread(ask, *self._sidecar.admin, "GET", f"/stats?filter=^{USED}$")
        if status == 200 and text.strip() == f"{USED}: 0":
            _report(UNUSED)

    def _signalled(self, number: signal.Signals) -> None:
        if self._app.running:
            # Ctrl-C at a terminal reaches the app by itself: it is in the same process group.
            if not (number in FROM_TERMINAL and _foreground()):
                self._app.send(number)
        elif self._starting is not None and self._early is None:
            self._early = number
            self._starting.cancel()

    def _environment(self) -> dict[str, str]:
        node = self._described.node
        current = dict(os.environ)
        if node.interception != INTERCEPT_NONE:
            return {"POD_NAME": node.name, **current}
        return environment(node.address, self._described.reservation.ports.outbound, current, node.name)


def _foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _report(line: str) -> None:
    print(f"mesh run: {line}", file=sys.stderr, flush=True)
