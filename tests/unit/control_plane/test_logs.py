from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from control_plane import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("warning", logs.TEXT)
    logging.getLogger("a.b").info("quiet")
    logging.getLogger("a.b").warning("loud %d", 1)
    (line,) = capsys.readouterr().err.splitlines()
    time, level, name, message = line.split("\t")
    assert (time[10], time[-1], level, name, message) == ("T", "Z", "WARNING", "a.b", "loud 1")


def test_objects_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", logs.JSON)
    try:
        raise ValueError("broken\nin two")
    except ValueError:
        logging.getLogger("a").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert (found["level"], found["logger"], found["message"]) == ("error", "a", "failed")
    assert "broken\nin two" in found["exception"]
