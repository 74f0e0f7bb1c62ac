"""What open streams hold: resident memory with 1,000 connections × 10 streams whose requests nobody has answered yet."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
from functools import partial
from pathlib import Path

import uvloop

from tests.bench import bootstraps, measure, proxies
from tests.bench.bootstraps import Ports
from tests.bench.cases import Request, Upstream
from tests.bench.h2_load import Blocks, Client, connect
from tests.bench.run import READY_SECONDS, Options, listens, started_upstream
from tests.harness.ports import free_port
from tests.harness.process import Process

CONNECTIONS, STREAMS = 1_000, 10
_HELD = (Request(path="/hold"),)
_POLL_SECONDS = 0.05
_OPEN_SECONDS = 240.0  # until all are there, on a machine however busy

Figures = dict[str, dict[str, list[float]]]  # as tests.bench.timings'


def run(options: Options, folder: Path, divisor: int) -> Figures:
    """One proxy after another, each anew every round."""
    generator_core, proxy_core = measure.cores()
    connections = max(2, CONNECTIONS // divisor)
    found: Figures = {}
    with contextlib.ExitStack() as stack:
        with measure.starting_on(generator_core):
            upstream = stack.enter_context(started_upstream(options.built_in, folder, Upstream.READER))
        for number in range(options.rounds):
            for name in options.competitors(references=False):
                ports = Ports(free_port(), free_port(), upstream, "")
                path = folder / f"{name}-{number}.yaml"
                command = proxies.started_from(name, bootstraps.plain(ports, http2=True, timeout="0s"), path)
                if command is None:
                    continue
                with measure.starting_on(proxy_core):
                    process = Process(command, path.with_suffix(".log"), options.environment(name))
                with process:
                    process.wait_ready(partial(listens, ports.listener), READY_SECONDS)
                    with measure.starting_on(generator_core):
                        uvloop.run(_round(ports, process.pid, connections, found.setdefault(name, {})))
    return found


async def _round(ports: Ports, pid: int, connections: int, figures: dict[str, list[float]]) -> None:
    at_rest = measure.resident_mib(pid)
    blocks = Blocks(_HELD)
    clients = [Client(_HELD, blocks, STREAMS, 0.0, number) for number in range(connections)]
    async with asyncio.timeout(_OPEN_SECONDS):
        await connect(clients, ports.listener)
        while await asyncio.to_thread(_active, ports.admin) < connections * STREAMS:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(_POLL_SECONDS)
    held = measure.resident_mib(pid)
    for client in clients:
        client.transport.abort()
    for what, value in (
        ("MiB at rest", at_rest),
        ("MiB resident", held),
        ("failed", float(sum(client.errors for client in clients))),
    ):
        figures.setdefault(what, []).append(value)


def _active(admin: int) -> int:
    """Requests that are with the upstream."""
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=READY_SECONDS)
    try:
        connection.request("GET", "/stats?format=json&filter=cluster.upstream.upstream_rq_active")
        stats = json.loads(connection.getresponse().read())["stats"]
        return sum(int(each["value"]) for each in stats if "value" in each)
    finally:
        connection.close()
