"""Work in forked children: its result, or how it ended. A child that hangs is told from one that waits for the machine."""

from __future__ import annotations

import contextlib
import os
import pickle
import resource
import signal
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
IDLE_SECONDS = 20.0  # without any CPU time and without waiting for any: nothing will wake it
MEMORY = 2 << 30  # bytes of address space beyond what it began with


class Ended(Enum):
    WELL = 0
    BADLY = 1
    NEVER = 2  # it was ended, by us or by its limit of CPU time


def in_a_child(work: Callable[[], T]) -> T:
    """The result of `work`, done in a process of its own, so that this one stays as it is."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _be_quiet()
        try:
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(work(), pipe)
        finally:
            os._exit(0)  # what went wrong shows by there being no result
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    result: T = pickle.loads(data)  # our own
    return result


def outcome_of(work: Callable[[int], bool]) -> tuple[Ended, str]:
    """How `work` ends in a child, and the last line that it wrote to the descriptor it is given."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        _be_quiet()
        _bound_memory()
        well = False
        with contextlib.suppress(BaseException):
            well = work(write)
        os._exit(0 if well else 1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        os.set_blocking(read, False)
        written = bytearray()
        code = _watched_to_its_end(child, lambda: written.extend(pipe.read() or b""))
        written.extend(pipe.read() or b"")
    lines = written.decode().splitlines()
    if code and not lines:
        raise RuntimeError(f"a child ended with {code} before its first test")
    ended = Ended.WELL if code == 0 else Ended.BADLY if code > 0 else Ended.NEVER
    return ended, lines[-1] if lines else ""


def _watched_to_its_end(child: int, drain: Callable[[], None]) -> int:
    used, since = -1, time.monotonic()
    while True:
        for _ in range(100):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        drain()
        state, ticks = _activity(child)
        if ticks != used or state == "R":
            used, since = ticks, time.monotonic()
        elif time.monotonic() - since > IDLE_SECONDS:
            os.kill(child, signal.SIGKILL)


def _activity(pid: int) -> tuple[str, int]:
    """(state, ticks of CPU time) of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return fields[0], int(fields[11]) + int(fields[12])


def _bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _be_quiet() -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
