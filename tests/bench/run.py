"""Runs a case: an upstream on one core, all proxies on the other, a round of each in turn."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench import measure, proxies, report, tools, upstream
from tests.bench.cases import Case, Ports
from tests.bench.load import BuiltIn, Result, Wrk
from tests.bench.report import Sample
from tests.harness.ports import free_port
from tests.harness.process import Process

WARM_SECONDS = 1.0
READY_SECONDS = 30.0


class Load(Protocol):
    def run(self, port: int, connections: int, seconds: float) -> Result: ...


@dataclass(frozen=True, slots=True)
class Options:
    """`built_in` does without wrk and nginx; `against` is another tree of our sources, which runs beside this one."""

    rounds: int = 5
    seconds: float = 2.0
    connections: int = 32
    proxies: tuple[str, ...] = proxies.ALL
    built_in: bool = False
    profile: Path | None = None
    against: Path | None = None

    def competitors(self) -> tuple[str, ...]:
        """In the order of their turns: the two trees of ours follow each other."""
        if self.against is None:
            return self.proxies
        at = self.proxies.index(proxies.OURS) if proxies.OURS in self.proxies else len(self.proxies)
        return (*self.proxies[:at], proxies.BEFORE, *self.proxies[at:])


@dataclass(slots=True)
class Running:
    name: str
    process: Process
    port: int
    log: Path


def run_case(case: Case, options: Options, folder: Path) -> tuple[dict[str, list[Sample]], Sample]:
    """Samples per proxy, in the order of the options, and one of the upstream without a proxy."""
    generator_core, proxy_core = measure.cores()
    with contextlib.ExitStack() as stack:
        upstream_port = free_port()
        with measure.starting_on(generator_core):
            stack.enter_context(_upstream(upstream_port, options, folder))
        running = [
            stack.enter_context(found)
            for name in options.competitors()
            if (case.references or name not in proxies.REFERENCES)
            and (found := _proxy(name, case, upstream_port, proxy_core, folder, options)) is not None
        ]
        load = _load(case, options, folder)
        with measure.starting_on(generator_core):
            direct = _direct(load, upstream_port, options)
            samples: dict[str, list[Sample]] = {proxy.name: [] for proxy in running}
            for proxy in running:
                load.run(proxy.port, options.connections, min(WARM_SECONDS, options.seconds))
            for _ in range(options.rounds):
                for proxy in running:
                    samples[proxy.name].append(_round(load, proxy, options))
        if options.profile is not None:
            _profile(load, running, case, options)
    return samples, direct


def _round(load: Load, proxy: Running, options: Options) -> Sample:
    """One round: many connections, whose CPU time counts, then one connection, whose latency counts."""
    before = measure.cpu_ns(proxy.process.pid)
    many = load.run(proxy.port, options.connections, options.seconds)
    used = measure.cpu_ns(proxy.process.pid) - before
    one = load.run(proxy.port, 1, options.seconds / 2)
    if proxy.log.exists():
        proxy.log.write_bytes(b"")  # it would fill the disk in a long run
    return Sample(
        cpu_us=used / 1000 / max(1, many.requests),
        rate=many.requests / many.seconds,
        p50=many.p50,
        p99=many.p99,
        single_p50=one.p50,
        single_p99=one.p99,
        resident_mib=measure.resident_mib(proxy.process.pid),
        errors=many.errors + one.errors,
    )


def _direct(load: Load, port: int, options: Options) -> Sample:
    many = load.run(port, options.connections, options.seconds)
    one = load.run(port, 1, options.seconds / 2)
    rate = many.requests / many.seconds
    return Sample(0.0, rate, many.p50, many.p99, one.p50, one.p99, 0.0, many.errors + one.errors)


@contextlib.contextmanager
def _upstream(port: int, options: Options, folder: Path) -> Iterator[None]:
    nginx = None if options.built_in else tools.find("nginx")
    if nginx is not None:
        command = upstream.nginx_command(nginx, port, folder)
    else:
        command = [sys.executable, "-m", "tests.bench.upstream", str(port)]
    with Process(command, folder / "upstream.log") as process:
        process.wait_ready(lambda: _listens(port), READY_SECONDS)
        yield


def _proxy(name: str, case: Case, upstream_port: int, core: int, folder: Path, options: Options) -> _Started | None:
    ports = Ports(free_port(), free_port(), upstream_port, str(folder / f"{name}-access.log"))
    command = proxies.command(name, case, ports, folder)
    # What stands in PYTHONPATH comes before what is installed.
    env = {"PYTHONPATH": str(options.against)} if name == proxies.BEFORE else {}
    return None if command is None else _Started(name, command, env, ports, core, folder)


class _Started:
    """A proxy that runs, on its core, as long as the block."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], ports: Ports, core: int, folder: Path
    ) -> None:
        self._name = name
        self._command = command
        self._env = env
        self._ports = ports
        self._core = core
        self._folder = folder

    def __enter__(self) -> Running:
        with measure.starting_on(self._core):
            self._process = Process(self._command, self._folder / f"{self._name}.log", self._env)
        try:
            self._process.wait_ready(lambda: _listens(self._ports.listener), READY_SECONDS)
        except AssertionError:
            self._process.stop()
            raise
        return Running(self._name, self._process, self._ports.listener, Path(self._ports.log))

    def __exit__(self, *unused: object) -> None:
        self._process.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _load(case: Case, options: Options, folder: Path) -> Load:
    wrk = None if options.built_in else tools.find("wrk")
    return BuiltIn(case.requests) if wrk is None else Wrk(wrk, case.requests, folder)


def _profile(load: Load, running: Sequence[Running], case: Case, options: Options) -> None:
    """Where ours spends its time under load: the functions by their own share, and all stacks beside the results."""
    ours = next((proxy for proxy in running if proxy.name == proxies.OURS), None)
    binary = tools.profiler()
    if ours is None or binary is None or options.profile is None:
        return
    options.profile.mkdir(parents=True, exist_ok=True)
    path = options.profile / f"{time.strftime('%Y%m%d-%H%M%S')}-{case.name}.stacks"
    seconds = max(2, round(options.seconds))
    command = [str(binary), "record", "-p", str(ours.process.pid), "-d", str(seconds), "-r", "500", "-f", "raw"]
    with subprocess.Popen([*command, "-o", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as spy:
        load.run(ours.port, options.connections, seconds + 1)
        _, errors = spy.communicate()
    if spy.returncode:
        print(f"bench: py-spy failed: {errors.decode().strip()[-300:]}", file=sys.stderr)
        return
    print(f"profile of {case.name}, all stacks in {path}:\n{report.hot_functions(path.read_text())}")
