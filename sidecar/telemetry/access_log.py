"""Access logs: one line a request, from a compiled format into a buffered sink.

A line is rendered as soon as its exchange is over; bytes reach the file in batches (by size, by a timer, at the end).
Whatever goes wrong with a file is counted, never raised into a request.
"""

from __future__ import annotations

import asyncio
import os
import random
import stat
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from select import PIPE_BUF
from typing import TYPE_CHECKING, Final

from mesh.clock import Clock, SystemClock
from mesh.errors import ConfigError, Problem
from sidecar.config.model import AccessLog
from sidecar.telemetry.expression import ANY_OCCASION, Occasion
from sidecar.telemetry.formatter import ENVOY_TEXT, compile_json, compile_text
from sidecar.telemetry.log_filter import Wanted, compile_filter
from sidecar.telemetry.log_ring import LogRing
from sidecar.telemetry.registry import Stats
from sidecar.telemetry.rotation import Rotation

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange

# A buffer that reaches this size is written at once (Istio's --file-flush-min-size-kb is 64).
FLUSH_SIZE: Final = 64 * 1024
# How long a line waits at most, in seconds (Istio's --file-flush-interval is 1 s).
FLUSH_INTERVAL: Final = 1.0
# What waits for a pipe or terminal that does not read; more is dropped and counted.
MAX_WAITING: Final = 8 * 1024 * 1024

_STANDARD: Final = {"stdout": 1, "/dev/stdout": 1, "stderr": 2, "/dev/stderr": 2}


class _Counters:
    """Envoy's `filesystem.` statistics."""

    def __init__(self, stats: Stats) -> None:
        self.write_buffered = stats.counter("filesystem.write_buffered")
        self.write_completed = stats.counter("filesystem.write_completed")
        self.write_failed = stats.counter("filesystem.write_failed")
        self.flushed_by_timer = stats.counter("filesystem.flushed_by_timer")
        self.reopen_failed = stats.counter("filesystem.reopen_failed")


class Sink:
    """An open log. `write` is what requests call; it never blocks on a pipe, and on a file only for a batch's copy into
    the page cache."""

    def __init__(
        self,
        target: str,
        loop: asyncio.AbstractEventLoop,
        counters: _Counters,
        interval: float,
        ring: LogRing,
        rotation: Rotation | None = None,
        *,
        shared: bool,
    ) -> None:
        self._target = target
        self._ring = ring
        self._interval = interval
        self._loop = loop
        self._counters = counters
        self._lines: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._fd = _open(target)
        self._writer: _PipeWriter | None = None
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._writer = _PipeWriter(self._fd, counters, whole_lines=shared)
        self._rotation = rotation if self._writer is None and target not in _STANDARD else None

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        if self._size >= FLUSH_SIZE:
            self.flush()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._flush_by_timer)

    def flush(self) -> None:
        """Hands what is buffered to the file."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._lines:
            return
        batch = b"".join(self._lines)
        self._ring.add(time.time(), self._lines)
        self._counters.write_buffered.value += len(self._lines)
        self._lines.clear()
        self._size = 0
        if self._writer is not None:
            self._writer.put(batch)
        else:
            _write(self._fd, batch, self._counters)
            if self._rotation is not None and self._rotation.is_due(self._fd):
                self._rotate(self._rotation)

    def _rotate(self, rotation: Rotation) -> None:
        try:
            rotation.move_away(self._fd, self._target)
        except OSError:
            self._counters.reopen_failed.value += 1
        else:
            self.reopen()

    def reopen(self) -> None:
        """Opens the path anew, after it was renamed; standard streams stay."""
        self.flush()
        if self._target in _STANDARD:
            return
        try:
            fd = _open(self._target)
        except OSError:
            self._counters.reopen_failed.value += 1
            return
        os.close(self._fd)
        self._fd = fd

    def close(self) -> None:
        self.flush()
        if self._writer is not None:
            self._writer.close()
        if self._target not in _STANDARD:
            os.close(self._fd)

    def _flush_by_timer(self) -> None:
        self._timer = None
        self._counters.flushed_by_timer.value += 1
        self.flush()


def _open(target: str) -> int:
    if target in _STANDARD:
        return _STANDARD[target]
    return os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _write(fd: int, batch: bytes, counters: _Counters) -> None:
    view = memoryview(batch)
    try:
        while view:
            written = os.write(fd, view)
            view = view[written:]
    except OSError:
        counters.write_failed.value += 1
    else:
        counters.write_completed.value += 1


def _lines(batch: bytes) -> Iterator[bytes]:
    """The batch in pieces that end with a line, each of them short enough to go into a pipe as a whole, if its lines are."""
    start = 0
    while len(batch) - start > PIPE_BUF:
        end = batch.rfind(b"\n", start, start + PIPE_BUF) + 1 or batch.find(b"\n", start) + 1 or len(batch)
        yield batch[start:end]
        start = end
    yield batch[start:]


class _PipeWriter:
    """Writes to what may make us wait (a pipe, a terminal) in a thread of its own, started with the first batch.
    `whole_lines`: other processes write there, too, and their lines must not get into ours."""

    # How long the end of the process waits for a reader that does not read.
    _GRACE = 1.0

    def __init__(self, fd: int, counters: _Counters, *, whole_lines: bool) -> None:
        self._fd = fd
        self._whole_lines = whole_lines
        self._counters = counters
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._runner: threading.Thread | None = None

    def put(self, batch: bytes) -> None:
        with self._lock:
            if self._waiting + len(batch) > MAX_WAITING:
                self._counters.write_failed.value += 1
                return
            self._waiting += len(batch)
        if self._runner is None:
            self._runner = threading.Thread(target=self._run, name="access-log", daemon=True)
            self._runner.start()
        self._queue.put(batch)

    def close(self) -> None:
        if self._runner is not None:
            self._queue.put(None)
            self._runner.join(self._GRACE)

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            for piece in _lines(batch) if self._whole_lines else (batch,):
                _write(self._fd, piece, self._counters)
            with self._lock:
                self._waiting -= len(batch)


class Sinks:
    """The open logs of a process, one a target: loggers of the same target share its buffer. `shared` with the logs of
    other processes, each line stays in one piece."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        stats: Stats,
        interval: float = FLUSH_INTERVAL,
        rotation: Rotation | None = None,
        *,
        shared: bool = False,
    ) -> None:
        self._rotation = rotation
        self._shared = shared
        self._loop = loop
        self._interval = interval
        self._counters = _Counters(stats)
        self._sinks: dict[str, Sink] = {}
        self.recent = LogRing()

    def get(self, target: str) -> Sink:
        """The sink of a target, opened at first use. Raises ConfigError when that fails."""
        sink = self._sinks.get(target)
        if sink is None:
            try:
                sink = self._sinks[target] = Sink(
                    target,
                    self._loop,
                    self._counters,
                    self._interval,
                    self.recent,
                    self._rotation,
                    shared=self._shared,
                )
            except OSError as error:
                raise ConfigError(Problem(f"cannot open the access log {target!r}: {error.strerror}")) from error
        return sink

    def flush(self) -> None:
        for sink in self._sinks.values():
            sink.flush()

    def reopen(self) -> None:
        """What SIGUSR1 and POST /reopen_logs ask for."""
        for sink in self._sinks.values():
            sink.reopen()

    def close(self) -> None:
        for sink in self._sinks.values():
            sink.close()
        self._sinks.clear()


class AccessLogger:
    """One access log of a connection manager or TCP proxy."""

    __slots__ = ("_line", "_write")

    def __init__(self, line: Callable[[Exchange, float], bytes], sink: Sink) -> None:
        self._line = line
        self._write = sink.write

    def log(self, exchange: Exchange, now: float) -> None:
        self._write(self._line(exchange, now))


class FilteredLogger(AccessLogger):
    """An access log that is told of some exchanges only."""

    __slots__ = ("_wanted",)

    def __init__(self, line: Callable[[Exchange, float], bytes], sink: Sink, wanted: Wanted) -> None:
        super().__init__(line, sink)
        self._wanted = wanted

    def log(self, exchange: Exchange, now: float) -> None:
        if self._wanted(exchange, now):
            self._write(self._line(exchange, now))


def compile_access_log(
    config: AccessLog,
    sinks: Sinks,
    clock: Clock | None = None,
    *,
    occasion: Occasion = ANY_OCCASION,
    rng: random.Random | None = None,
) -> AccessLogger:
    """The logger that a configuration asks for. Raises ConfigError for an unknown command or a file that does not open."""
    clock = clock or SystemClock()
    omit = config.omit_empty
    if config.json is not None:
        line = compile_json(config.json, clock, omit_empty=omit, occasion=occasion)
    else:
        text = config.text if config.text is not None else ENVOY_TEXT
        line = compile_text(text, clock, omit_empty=omit, occasion=occasion)
    sink = sinks.get(config.target)
    if config.filter is None:
        return AccessLogger(line, sink)
    return FilteredLogger(line, sink, compile_filter(config.filter, occasion, rng or random.Random()))
