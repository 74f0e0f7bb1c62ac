from __future__ import annotations

import asyncio
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.telemetry.access_log import Sinks
from sidecar.telemetry.rotation import KEPT, Rotation
from sidecar.telemetry.stats import Stats


@pytest.mark.parametrize(
    ("text", "rotation"),
    [
        ("", None),
        ("100", Rotation(100)),
        ("64k", Rotation(64 * 1024, KEPT)),
        ("100MB,3", Rotation(100 * 1024 * 1024, 3)),
        ("1GiB,12", Rotation(1024**3, 12)),
    ],
)
def test_a_size_and_how_many_are_kept(text: str, rotation: Rotation | None) -> None:
    assert Rotation.parse(text) == rotation


@pytest.mark.parametrize("text", ["0", "-1", "1.5M", "M", "100M,", "100M,0", "100 M", "1T", "1M,5,5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected SIZE or SIZE,FILES"):
        Rotation.parse(text)


@given(st.text(max_size=12))
def test_anything_is_parsed_or_refused(text: str) -> None:
    try:
        found = Rotation.parse(text)
    except ValueError:
        return
    assert found is None or (found.size > 0 and found.kept > 0)


def sinks(loop: asyncio.AbstractEventLoop, rotation: Rotation) -> Sinks:
    return Sinks(loop, Stats(), rotation=rotation)


def test_a_file_that_is_full_moves_on_and_the_oldest_goes(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    logs, path = sinks(loop, Rotation(20, kept=2)), tmp_path / "a.log"
    sink = logs.get(str(path))
    for number in range(8):
        sink.write(f"line {number} ---\n".encode())  # eleven bytes: two fill a file
        sink.flush()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert path.read_bytes() == b""
    assert (tmp_path / "a.log.1").read_bytes() == b"line 6 ---\nline 7 ---\n"
    assert (tmp_path / "a.log.2").read_bytes() == b"line 4 ---\nline 5 ---\n"
    logs.close()
    loop.close()


def test_standard_streams_and_devices_are_left_alone(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    logs = sinks(loop, Rotation(1))
    logs.get("/dev/null").write(b"line\n")
    logs.flush()
    logs.close()
    assert Path("/dev/null").is_char_device()
    loop.close()


def test_a_file_that_cannot_be_moved_costs_no_line(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    stats, path = Stats(), tmp_path / "a.log"
    logs = Sinks(loop, stats, rotation=Rotation(1, kept=1))
    sink = logs.get(str(path))
    (tmp_path / "a.log.1").mkdir()  # a file cannot take its place
    for line in (b"one\n", b"two\n"):
        sink.write(line)
        sink.flush()
    assert path.read_bytes() == b"one\ntwo\n"
    assert stats.counter("filesystem.reopen_failed").value == 2
    logs.close()
    loop.close()


WRITERS, LINES = 3, 2_000


def _write_lines(path: str, name: int) -> None:
    loop = asyncio.new_event_loop()
    logs = Sinks(loop, Stats(), rotation=Rotation(4_000, kept=999), shared=True)
    sink = logs.get(path)
    for number in range(LINES):
        sink.write(f"writer {name} line {number}\n".encode())
        if number % 7 == 0:
            sink.flush()
    logs.close()


def test_several_processes_share_a_file_and_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_lines, args=(str(path), name)) for name in range(WRITERS)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(60)
    assert [each.exitcode for each in writers] == [0] * WRITERS
    files = list(tmp_path.iterdir())
    assert len(files) > 20
    found = [line for file in files for line in file.read_text().splitlines()]
    assert sorted(found) == sorted(f"writer {name} line {number}" for name in range(WRITERS) for number in range(LINES))
    assert all(os.path.getsize(file) < 4_000 + WRITERS * 400 for file in files)
