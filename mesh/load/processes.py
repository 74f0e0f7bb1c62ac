"""A plan over its worker processes, and their reports as one."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mesh.errors import MeshError
from mesh.load.plan import Plan
from mesh.load.recorder import Totals
from mesh.load.template import Mix, Template

START_SECONDS = 0.35  # for a Python to start, a process beside another takes longer
LINE_BYTES = 1 << 26


@dataclass(slots=True)
class Report:
    """What a load saw so far: `kinds` by request of the mix, `totals` of all."""

    plan: Plan
    names: list[str]
    kinds: list[Totals]
    began: float
    seconds: float = 0.0
    cpu: float = 0.0
    ended: bool = False
    totals: Totals = field(default_factory=Totals)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.totals.requests / self.seconds if self.seconds else 0.0


Progress = Callable[[Report], None]


async def run_load(plan: Plan, progress: Progress | None = None, stop: asyncio.Event | None = None) -> Report:
    """Runs a plan to its end, or until `stop`. MeshError when it cannot be run; `progress` is called about twice a
    second."""
    templates = [Template(spec) for spec in plan.requests]  # what is wrong with them is said here
    Mix(templates)
    begin = time.time() + START_SECONDS + 0.15 * plan.processes
    report = Report(plan, [each.name for each in templates], [Totals() for _ in templates], begin)
    children = [await _start(plan, index, begin) for index in range(plan.processes)]
    cpu = [0.0] * plan.processes
    try:
        async with asyncio.TaskGroup() as group:
            followers = [
                group.create_task(_follow(child, index, report, cpu, progress)) for index, child in enumerate(children)
            ]
            stopping = group.create_task(_stop_when_told(stop, children))
            await asyncio.gather(*followers)
            stopping.cancel()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
                await child.wait()
    report.ended = True
    return report


async def _start(plan: Plan, index: int, begin: float) -> asyncio.subprocess.Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mesh.load.worker",
        str(index),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES,
        process_group=0,
    )
    assert child.stdin is not None  # noqa: S101
    child.stdin.write(json.dumps({"plan": plan.encode(), "begin": begin}).encode() + b"\n")
    with contextlib.suppress(ConnectionError):  # it has ended already: its own words say why
        await child.stdin.drain()
    child.stdin.close()
    return child


async def _follow(
    child: asyncio.subprocess.Process, index: int, report: Report, cpu: list[float], progress: Progress | None
) -> None:
    assert child.stdout is not None  # noqa: S101
    ended = False
    async for line in child.stdout:
        data: dict[str, Any] = json.loads(line)
        if "error" in data:
            raise MeshError(data["error"])
        for totals, kind in zip(report.kinds, data["kinds"], strict=True):
            totals.add(kind)
            report.totals.add(kind)
        report.seconds = max(report.seconds, data["seconds"])
        cpu[index] = data["cpu"]
        report.cpu = sum(cpu)
        ended = data["ended"]
        if progress is not None:
            progress(report)
    code = await child.wait()
    if not ended:
        raise MeshError(f"a sending process ended with code {code} before it was done")


async def _stop_when_told(stop: asyncio.Event | None, children: list[asyncio.subprocess.Process]) -> None:
    if stop is None:
        return
    await stop.wait()
    for child in children:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
