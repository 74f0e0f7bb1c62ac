from __future__ import annotations

import asyncio
import json
import os
import select
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from select import PIPE_BUF
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import ConfigError
from sidecar.config.model import AccessLog
from sidecar.telemetry import access_log
from sidecar.telemetry.access_log import FLUSH_SIZE, Sinks, _lines, compile_access_log
from sidecar.telemetry.stats import Stats
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, clock, exchange

NOW = CLOCK_START + 0.042


class FakeTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeLoop:
    """Timers that fire when a test says so."""

    def __init__(self) -> None:
        self.timers: list[FakeTimer] = []

    def call_later(self, _delay: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        self.timers.append(timer)
        return timer

    def fire(self) -> None:
        timers, self.timers = self.timers, []
        for timer in timers:
            if not timer.cancelled:
                timer.callback()


@pytest.fixture
def loop() -> Any:
    return FakeLoop()


@pytest.fixture
def stats() -> Stats:
    return Stats()


@pytest.fixture
def sinks(loop: Any, stats: Stats) -> Any:
    made = Sinks(loop, stats)
    yield made
    made.close()


def test_a_line_is_written_when_the_timer_fires(sinks: Sinks, loop: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = compile_access_log(AccessLog(str(path), text="%RESPONSE_CODE%\n"), sinks, clock())
    log.log(exchange(), NOW)
    log.log(exchange(status=404), NOW)
    assert path.read_bytes() == b""
    assert len(loop.timers) == 1
    loop.fire()
    assert path.read_bytes() == b"200\n404\n"
    log.log(exchange(), NOW)
    assert len(loop.timers) == 1


def test_a_full_buffer_is_written_at_once(sinks: Sinks, loop: Any, stats: Stats, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    sink = sinks.get(str(path))
    line = b"x" * 1023 + b"\n"
    for _ in range(FLUSH_SIZE // 1024):
        sink.write(line)
    assert path.stat().st_size == FLUSH_SIZE
    assert all(timer.cancelled for timer in loop.timers)
    assert stats.counter("filesystem.write_buffered").value == FLUSH_SIZE // 1024
    assert stats.counter("filesystem.write_completed").value == 1


def test_what_is_buffered_is_written_at_the_end(sinks: Sinks, tmp_path: Path) -> None:
    sinks.get(str(tmp_path / "a.log")).write(b"last\n")
    sinks.close()
    assert (tmp_path / "a.log").read_bytes() == b"last\n"


def test_logs_of_one_target_share_their_sink(sinks: Sinks, tmp_path: Path) -> None:
    assert sinks.get(str(tmp_path / "a")) is sinks.get(str(tmp_path / "a"))
    assert sinks.get(str(tmp_path / "a")) is not sinks.get(str(tmp_path / "b"))


def test_a_renamed_log_is_opened_anew(sinks: Sinks, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    sink = sinks.get(str(path))
    sink.write(b"before\n")
    path.rename(tmp_path / "a.log.1")
    sinks.reopen()
    sink.write(b"after\n")
    sinks.flush()
    assert (tmp_path / "a.log.1").read_bytes() == b"before\n"
    assert path.read_bytes() == b"after\n"


def test_a_log_that_cannot_be_reopened_goes_on_where_it_was(sinks: Sinks, stats: Stats, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    sink = sinks.get(str(folder / "a.log"))
    folder.rename(tmp_path / "moved")
    sinks.reopen()
    sink.write(b"still\n")
    sinks.flush()
    assert (tmp_path / "moved" / "a.log").read_bytes() == b"still\n"
    assert stats.counter("filesystem.reopen_failed").value == 1


def test_an_existing_log_is_appended_to(sinks: Sinks, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    sinks.get(str(path)).write(b"new\n")
    sinks.flush()
    assert path.read_bytes() == b"old\nnew\n"


def test_a_log_that_does_not_open_is_a_configuration_error(sinks: Sinks, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot open the access log .*nowhere/a\.log"):
        sinks.get(str(tmp_path / "nowhere" / "a.log"))


def test_a_write_error_is_counted_and_never_raised(
    sinks: Sinks, stats: Stats, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sink = sinks.get(str(tmp_path / "a.log"))

    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(access_log.os, "write", full)
        sink.write(b"lost\n")
        sinks.flush()
    assert stats.counter("filesystem.write_failed").value == 1
    sink.write(b"kept\n")
    sinks.flush()
    assert (tmp_path / "a.log").read_bytes() == b"kept\n"


def test_a_pipe_is_written_to_from_a_thread(loop: Any, stats: Stats, tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sinks = Sinks(loop, stats)
    sink = sinks.get(str(path))
    os.set_blocking(reader, True)
    sink.write(b"one\n")
    sinks.flush()
    assert os.read(reader, 100) == b"one\n"
    sinks.close()
    os.close(reader)


def test_a_pipe_that_nobody_reads_costs_lines_not_requests(
    loop: Any, stats: Stats, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(access_log, "MAX_WAITING", 200_000)
    monkeypatch.setattr(access_log._PipeWriter, "_GRACE", 0.0)
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sinks = Sinks(loop, stats)
    sink = sinks.get(str(path))
    for _ in range(10):
        sink.write(b"x" * FLUSH_SIZE)
    assert stats.counter("filesystem.write_failed").value > 0
    assert sink._writer is not None
    readable = select.poll()
    readable.register(reader, select.POLLIN)
    while sink._writer._waiting:
        readable.poll(10)
        with suppress(BlockingIOError):
            os.read(reader, 1 << 20)
    sinks.close()
    os.close(reader)


def test_json_and_default_formats(sinks: Sinks, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    compile_access_log(AccessLog(str(path), json={"code": "%RESPONSE_CODE%"}), sinks, clock()).log(exchange(), NOW)
    compile_access_log(AccessLog(str(path)), sinks, clock()).log(exchange(), NOW)
    sinks.flush()
    first, second = path.read_text().splitlines()
    assert json.loads(first) == {"code": 200}
    assert second.startswith('[2023-11-14T22:13:20.000Z] "GET /reviews/1')


def test_an_unknown_command_is_a_configuration_error(sinks: Sinks, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown command %NOPE%"):
        compile_access_log(AccessLog(str(tmp_path / "a"), text="%NOPE%"), sinks)


async def test_a_real_loop_flushes(stats: Stats, tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    sinks = Sinks(loop, stats, interval=0.0)
    sinks.get(str(tmp_path / "a.log")).write(b"line\n")
    flushed = asyncio.Event()
    loop.call_later(0.001, flushed.set)  # timers fire in order
    await flushed.wait()
    sinks.close()
    assert stats.counter("filesystem.flushed_by_timer").value == 1
    assert (tmp_path / "a.log").read_bytes() == b"line\n"


@given(st.lists(st.integers(0, 3 * PIPE_BUF), max_size=30))
def test_lines_for_a_shared_pipe_stay_in_one_piece(sizes: list[int]) -> None:
    lines = [b"x" * size + b"\n" for size in sizes]
    pieces = list(_lines(b"".join(lines)))
    assert b"".join(pieces) == b"".join(lines)
    for piece in pieces:
        assert not piece or piece.endswith(b"\n")
        assert len(piece) <= PIPE_BUF or piece.count(b"\n") == 1
