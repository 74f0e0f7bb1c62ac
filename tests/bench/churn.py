"""What connections cost that serve one request each: how many a proxy takes a second, and its CPU time for one."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.bench import bootstraps, measure, proxies, tools
from tests.bench.bootstraps import Ports
from tests.bench.cases import CLIENT_HEADERS, Request
from tests.bench.load import BuiltIn, Wrk
from tests.bench.run import READY_SECONDS, Load, Options, listens, started_upstream
from tests.harness.ports import free_port
from tests.harness.process import Process

AT_A_TIME = (1, 100)
WARM_SECONDS = 1.0
_REQUEST = Request(headers=("Host: bench.test", *CLIENT_HEADERS, "Connection: close"))

Figures = dict[str, dict[str, list[float]]]  # as tests.bench.timings'


def rate(at_a_time: int) -> str:
    return f"connects/s, {at_a_time} at a time"


def run(options: Options, folder: Path, _divisor: int) -> Figures:
    """All proxies side by side, a round of each in turn."""
    generator_core, proxy_core = measure.cores()
    load = _load(options, folder)
    found: Figures = {}
    with contextlib.ExitStack() as stack:
        running: list[tuple[str, int, Process]] = []
        with measure.starting_on(generator_core):
            upstream = stack.enter_context(started_upstream(options.built_in, folder))
        for name in options.competitors(references=False):
            ports = Ports(free_port(), free_port(), upstream, "")
            command = proxies.started_from(name, bootstraps.plain(ports), folder / f"{name}.yaml")
            if command is None:
                continue
            with measure.starting_on(proxy_core):
                process = Process(command, folder / f"{name}.log", options.environment(name))
            stack.callback(process.stop)
            running.append((name, ports.listener, process))
        for _, port, process in running:
            process.wait_ready(lambda at=port: listens(at), READY_SECONDS)  # type: ignore[misc]
        with measure.starting_on(generator_core):
            for _, port, _ in running:
                load.run(port, max(AT_A_TIME), min(WARM_SECONDS, options.seconds))
            for _ in range(options.rounds):
                for name, port, process in running:
                    _round(load, port, process.pid, options.seconds, found.setdefault(name, {}))
    return found


def _round(load: Load, port: int, pid: int, seconds: float, figures: dict[str, list[float]]) -> None:
    for at_a_time in AT_A_TIME:
        before = measure.cpu_ns(pid)
        seen = load.run(port, at_a_time, seconds)
        used = measure.cpu_ns(pid) - before
        for what, value in (
            (rate(at_a_time), seen.requests / seen.seconds),
            (f"CPU µs per connect, {at_a_time} at a time", used / 1000 / max(1, seen.requests)),
            (f"failed, {at_a_time} at a time", float(seen.errors)),
        ):
            figures.setdefault(what, []).append(value)


def _load(options: Options, folder: Path) -> Load:
    """Both make a new connection when the old one was closed after its answer."""
    wrk = None if options.built_in else tools.find("wrk")
    return BuiltIn((_REQUEST,), one_each=True) if wrk is None else Wrk(wrk, (_REQUEST,), folder / "churn.lua")
