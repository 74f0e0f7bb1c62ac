"""What a process costs: CPU time of all its threads and children, memory; and on which core it may run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cpu_ns(pid: int) -> int:
    """CPU nanoseconds that the process has used so far: the scheduler's own count, over all threads and children."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total + sum(cpu_ns(child) for child in children(pid))


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def resident_mib(pid: int) -> float:
    """Resident memory, children included."""
    return _status_mib(pid, "VmRSS:") + sum(resident_mib(child) for child in children(pid))


def peak_mib(pid: int) -> float:
    """The most resident memory that the process ever had."""
    return _status_mib(pid, "VmHWM:")


def _status_mib(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def cores() -> tuple[int, int]:
    """The core of the load generator and the upstream, and the core of the proxy; the same where there is only one."""
    available = sorted(os.sched_getaffinity(0))
    return available[0], available[min(1, len(available) - 1)]


@contextmanager
def starting_on(core: int) -> Iterator[None]:
    """Processes that are started in the block run on this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
