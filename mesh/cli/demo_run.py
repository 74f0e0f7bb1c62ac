"""`mesh demo`: plan → stack → load → view, until the time is over or somebody says stop; then all of it away again."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesh.cli.addresses import has_network
from mesh.cli.demo_hosts import BREAKERS_PAGE, CLUSTERS_PAGE, breaker_events, out_of_use
from mesh.cli.demo_metrics import METRICS_PAGE, LoadTotals, Window, parse
from mesh.cli.demo_plan import DEFAULT_NETWORK, Plan, make_plan
from mesh.cli.demo_stack import Stack, check_free
from mesh.cli.demo_view import Picture, commands_to_try, plain_line, render, summary
from mesh.cli.errors import USAGE, CliError, alone
from mesh.cli.examples import NETWORKING, ROOT, check_examples
from mesh.cli.process import Process
from mesh.cli.sidecar import ask, proxy_program
from mesh.cli.start_settings import StartSettings

LOOK_SECONDS = 1.0
DRAW_SECONDS = 0.25
LINE_SECONDS = 5.0
RECENT_REPORTS = 10  # of half a second each
LOAD_STOP_SECONDS = 20.0  # longer than a request may take
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    duration: float = 0.0
    rate: float = 20.0
    port: int = 8080
    tui: bool = True
    keep: bool = False
    store: str = ""
    proxy: str = ""
    network: str = ""
    distinct_ports: bool = False
    otlp_endpoint: str = ""
    grpc: bool = False


def run_demo(options: DemoOptions) -> int:
    """Runs it to its end; the exit code."""
    check_examples()
    distinct = options.distinct_ports or not has_network(options.network or DEFAULT_NETWORK)
    plan = make_plan(options.port, options.network, distinct, options.grpc)
    check_free(plan)
    folder = Path(tempfile.mkdtemp(prefix="mesh-demo-"))
    try:
        demo = _Demo(options, folder)
        programs = _programs(options.proxy, plan, folder / "state")
        demo.stack = Stack(plan, folder, programs, options.store, demo.report, options.otlp_endpoint)
        return asyncio.run(demo.run())
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _programs(proxy: str, plan: Plan, state_dir: Path) -> dict[str, tuple[str, ...]]:
    """Each proxy's command: ours, or what `--proxy PROGRAM` or `--proxy NAME=PROGRAM` says."""
    name, given, path = proxy.rpartition("=")
    names = [member.name for member in plan.members]
    if given and name not in names:
        raise CliError(f"--proxy {proxy}: there is no {name}", f"there are {', '.join(names)}", code=USAGE)
    chosen = {each: path if name in ("", each) else "" for each in names}
    return {
        each: (*proxy_program(program, state_dir), *StartSettings().flags(ours=not program))
        for each, program in chosen.items()
    }


class _Demo:
    """One run. `stack` is set before `run()`: its reports come here."""

    stack: Stack

    def __init__(self, options: DemoOptions, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._stop = asyncio.Event()
        self._live = options.tui and sys.stdout.isatty()
        self._recent: deque[Mapping[str, Any]] = deque(maxlen=RECENT_REPORTS)
        self._window = Window()
        self._picture = Picture(options.rate)
        self._reported = asyncio.Event()  # the load generator has said something
        self._load: Process | None = None
        self._began = 0.0

    def report(self, line: str) -> None:
        """Something happened to a process."""
        self._picture.events.append(line)
        if not self._live:
            print(line, flush=True)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._told_to_stop, number)
        picture, plan = self._picture, self.stack.plan
        picture.url, picture.server = plan.url, plan.server
        picture.mesh, picture.examples = _mesh_command(), _from_here(NETWORKING)
        try:
            if await self._started():
                await self._watch()
        finally:
            await self._end()
        if self._picture.totals.requests:
            print("\n".join(["", *summary(self._picture.totals, self._picture.seconds)]))
        failed = self._picture.totals.success != 1 and self._options.rate > 0
        return 1 if self._options.duration and failed else 0

    def _told_to_stop(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            _leave_terminal()
        self._stop.set()

    async def _started(self) -> bool:
        """Whether it serves; False when it was told to stop before."""
        began = time.monotonic()
        print("starting control plane, gateway, services and sidecars …", flush=True)
        with alone():
            async with asyncio.TaskGroup() as group:
                starting = group.create_task(self.stack.start())
                stopping = group.create_task(self._stop.wait())
                await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
                starting.cancel()
                stopping.cancel()
        if self._stop.is_set():
            return False
        self._picture.events.clear()  # what was waited for is there
        print(f"serving after {time.monotonic() - began:.1f} s:  {self._picture.url}", flush=True)
        if not self._live:
            for what, command in commands_to_try(self._picture):
                print(f"  {what + ':':32} {command}", flush=True)
        return True

    async def _watch(self) -> None:
        """Load, looking and drawing, until the time is over or somebody says stop."""
        self._began = time.monotonic()
        if self._options.rate:
            await self._begin_load()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._look())]
            if self._load is not None:
                tasks.append(group.create_task(self._follow(self._load)))
            tasks.append(group.create_task(self._draw() if self._live else self._print_lines()))
            if self._load is not None:  # the duration is that of the load: its process takes a while to start
                begun = [group.create_task(event.wait()) for event in (self._reported, self._stop)]
                await asyncio.wait((*begun, tasks[1]), return_when=asyncio.FIRST_COMPLETED)
                for waiting in begun:
                    waiting.cancel()
                self._began = time.monotonic()
            try:
                async with asyncio.timeout(self._options.duration or None):
                    await self._stop.wait()
            except TimeoutError:
                pass
            if self._load is not None:  # its last words count
                self._load.send(signal.SIGTERM)
                await asyncio.wait(tasks[1:2], timeout=LOAD_STOP_SECONDS)
            self._tick()
            for task in tasks:
                task.cancel()

    async def _begin_load(self) -> None:
        command = [sys.executable, "-m", "mesh.cli.load", self._picture.url, f"{self._options.rate:g}"]
        self._load = Process(command, self._folder / "load.log", cwd=ROOT, piped=True)
        await self._load.start()

    async def _follow(self, load: Process) -> None:
        async for line in load.lines():
            report = json.loads(line)
            self._reported.set()
            self._picture.totals.add(report)
            self._recent.append(report)
            self._picture.recent = LoadTotals.of(self._recent)
        if code := await load.wait():
            self.report(f"the load generator ended with code {code}")
            for said in load.tail():
                self.report(f"  {said}")

    async def _look(self) -> None:
        """Asks every proxy for its metrics, endpoints and breakers, once a second."""
        since = time.time()
        while True:
            metrics = await self._pages(METRICS_PAGE)
            self._window.add(time.monotonic(), parse(metrics.values()))
            self._picture.edges = self._window.edges()
            self._picture.hosts, self._picture.known_hosts = out_of_use(await self._pages(CLUSTERS_PAGE))
            for event in breaker_events(await self._pages(BREAKERS_PAGE), since):
                since = event.at
                self.report(event.line)
            await asyncio.sleep(LOOK_SECONDS)

    async def _pages(self, path: str) -> dict[str, str]:
        """A page of every proxy's admin port; "" where there is none."""
        sidecars = self.stack.sidecars
        answers = await asyncio.gather(
            *(asyncio.to_thread(ask, *sidecar.admin, "GET", path) for sidecar in sidecars.values())
        )
        return {name: text if status == 200 else "" for name, (status, text) in zip(sidecars, answers, strict=True)}

    async def _draw(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(highlight=False)
        with Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                self._tick()
                live.update(render(self._picture, console.width, console.height), refresh=True)
                await asyncio.sleep(DRAW_SECONDS)

    async def _print_lines(self) -> None:
        while True:
            await asyncio.sleep(LINE_SECONDS)
            self._tick()
            print(plain_line(self._picture), flush=True)

    def _tick(self) -> None:
        self._picture.seconds = time.monotonic() - self._began
        if self._options.duration:
            self._picture.left = max(0.0, self._options.duration - self._picture.seconds)

    async def _end(self) -> None:
        try:
            print("stopping …", flush=True)
        finally:  # whatever became of the terminal
            if self._load is not None:
                await self._load.stop()
            await self.stack.stop()


def _leave_terminal() -> None:
    """The terminal is gone (SIGHUP): what would be written there, which fails, goes nowhere. Files are still written."""
    with open(os.devnull, "wb") as nowhere:
        for stream in (sys.stdout, sys.stderr):
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):  # isatty() says no by now
                os.dup2(nowhere.fileno(), stream.fileno())


def _mesh_command() -> str:
    """How a person types `mesh` here: it is not on the PATH when `make` made the environment."""
    script = Path(sys.executable).with_name("mesh")
    return "mesh" if shutil.which("mesh") or not script.exists() else _from_here(script)


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
