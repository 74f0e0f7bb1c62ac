"""Runs a case: an upstream on one core, all proxies on the other, a round of each in turn."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sidecar.process.native import SWITCH
from tests.bench import measure, proxies, report, tools, upstream
from tests.bench.bootstraps import Ports
from tests.bench.cases import Case, Upstream
from tests.bench.grpc_ends import GrpcLoad
from tests.bench.h2_load import H2BuiltIn, H2Load
from tests.bench.load import BuiltIn, Result, Wrk
from tests.bench.report import DIRECT, Sample
from tests.harness.ports import free_port
from tests.harness.process import Process

WARM_SECONDS = 1.0
READY_SECONDS = 60.0


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

    def competitors(self, *, references: bool) -> list[str]:
        """In the order of their turns: the two trees of ours follow each other."""
        names = [name for name in self.proxies if references or name not in proxies.REFERENCES]
        if self.against is not None:
            names.insert(names.index(proxies.OURS) if proxies.OURS in names else len(names), proxies.BEFORE)
        return names

    def environment(self, name: str) -> dict[str, str]:
        """What stands in PYTHONPATH comes before what is installed. Another tree runs compiled if it was compiled in an
        environment of its own."""
        if name != proxies.BEFORE or self.against is None:
            return {}
        compiled = next(self.against.glob(".venv/lib/asyncmesh-native/*"), None)
        native = {} if compiled is None or os.environ.get(SWITCH) == "off" else {SWITCH: str(compiled)}
        return {"PYTHONPATH": str(self.against), **native}


@dataclass(slots=True)
class Running:
    """A proxy that serves, or no proxy at all: then `process` is None. `name` is the row that it is shown in."""

    name: str
    load: Load
    port: int
    process: Process | None = None
    log: Path | None = None


def run_case(case: Case, options: Options, folder: Path) -> dict[str, list[Sample]]:
    """Samples by row, a sample a round."""
    generator_core, proxy_core = measure.cores()
    with contextlib.ExitStack() as stack:
        running: list[Running] = []
        for variant in case.variants:
            load = load_for(variant, options, folder)
            for name in options.competitors(references=case.references):
                with measure.starting_on(generator_core):
                    port = stack.enter_context(started_upstream(options.built_in, folder, variant.upstream))
                ports = Ports(free_port(), free_port(), port, str(folder / f"{name}-access.log"))
                command = proxies.command(name, variant, ports, folder)
                if command is None:
                    continue
                with measure.starting_on(proxy_core):
                    process = Process(command, folder / f"{name}-{port}.log", options.environment(name))
                stack.callback(process.stop)
                row = name if case.small is None else f"{name}, {variant.name}"
                running.append(Running(row, load, ports.listener, process, Path(ports.log)))
        if case.latency:
            running.append(Running(DIRECT, load_for(case, options, folder), port))
        for each in running:
            if each.process is not None:
                each.process.wait_ready(lambda at=each.port: listens(at), READY_SECONDS)  # type: ignore[misc]
        with measure.starting_on(generator_core):
            samples = rounds_of(case, running, options)
            if options.profile is not None:
                _profile(running, case, options, options.profile)
    return samples


def rounds_of(case: Case, running: list[Running], options: Options) -> dict[str, list[Sample]]:
    """So many rounds, in each of which everybody has a turn."""
    samples: dict[str, list[Sample]] = {each.name: [] for each in running}
    for each in running:
        each.load.run(each.port, case.connections or options.connections, min(WARM_SECONDS, options.seconds))
    for _ in range(options.rounds):
        for each in running:
            samples[each.name].append(_round(each, case, options))
    return samples


def _round(running: Running, case: Case, options: Options) -> Sample:
    """One round: many connections, whose CPU time counts, then one connection, whose latency counts."""
    pid = running.process.pid if running.process is not None else 0
    before = measure.cpu_ns(pid) if pid else 0
    many = running.load.run(running.port, case.connections or options.connections, options.seconds)
    used = measure.cpu_ns(pid) - before if pid else 0
    one = running.load.run(running.port, 1, options.seconds / 2) if case.latency else None
    if running.log is not None and running.log.exists():
        running.log.write_bytes(b"")  # it would fill the disk in a long run
    return Sample(
        cpu_us=used / 1000 / max(1, many.requests),
        rate=many.requests / many.seconds,
        p50=many.p50,
        p99=many.p99,
        single_p50=one.p50 if one else 0.0,
        single_p99=one.p99 if one else 0.0,
        resident_mib=measure.resident_mib(pid) if pid else 0.0,
        errors=many.errors + (one.errors if one else 0),
    )


@contextlib.contextmanager
def started_upstream(built_in: bool, folder: Path, kind: Upstream = Upstream.HTTP1) -> Iterator[int]:
    """An upstream of its own, as long as the block; its port."""
    port = free_port()
    with Process(_upstream_command(kind, built_in, port, folder), folder / "upstream.log") as process:
        process.wait_ready(lambda: listens(port), READY_SECONDS)
        yield port


def _upstream_command(kind: Upstream, built_in: bool, port: int, folder: Path) -> list[str]:
    nginx = None if built_in or kind in (Upstream.READER, Upstream.GRPC) else tools.find("nginx")
    if nginx is not None:
        return upstream.nginx_command(nginx, port, folder, http2=kind is Upstream.HTTP2)
    ours = {Upstream.HTTP1: ["upstream"], Upstream.GRPC: ["grpc_ends", "serve"]}
    module, *arguments = ours.get(kind, ["h2_upstream"])
    return [sys.executable, "-m", f"tests.bench.{module}", *arguments, str(port)]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def load_for(case: Case, options: Options, folder: Path) -> Load:
    if case.grpc:
        return GrpcLoad(case.grpc, case.streams)
    if case.streams:
        h2load = None if options.built_in or len(case.requests) > 1 else tools.find("h2load")
        if h2load is not None:
            return H2Load(h2load, case.requests[0], case.streams, folder)
        return H2BuiltIn(case.requests, case.streams)
    wrk = None if options.built_in else tools.find("wrk")
    return BuiltIn(case.requests) if wrk is None else Wrk(wrk, case.requests, folder / f"{case.name}.lua")


def _profile(running: list[Running], case: Case, options: Options, folder: Path) -> None:
    """Where ours spends its time under load: the functions by their own share, and all stacks beside the results."""
    ours = next((each for each in reversed(running) if each.name.startswith(proxies.OURS)), None)
    binary = tools.profiler()
    if ours is None or ours.process is None or binary is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{case.name}.stacks"
    seconds = max(2, round(options.seconds))
    command = [str(binary), "record", "-p", str(ours.process.pid), "-d", str(seconds), "-r", "500", "-f", "raw"]
    with subprocess.Popen([*command, "-o", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as spy:
        ours.load.run(ours.port, case.connections or options.connections, seconds + 1)
        _, errors = spy.communicate()
    if spy.returncode:
        print(f"bench: py-spy failed: {errors.decode().strip()[-300:]}", file=sys.stderr)
        return
    print(f"profile of {case.name}, all stacks in {path}:\n{report.hot_functions(path.read_text())}")
