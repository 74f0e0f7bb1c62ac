"""Python imports this at its start where the folder is in PYTHONPATH: it writes down what blocks a thread that runs an event
loop, as `event argument <- frames`, into the file that MESH_TEST_BLOCKING names. It has nothing to do with time: what can
block is found on an idle machine as on a busy one.
"""

from __future__ import annotations

import asyncio.events
import os
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

# https://docs.python.org/3/library/audit_events.html
_BLOCKING: Final = frozenset(
    {
        "http.client.connect",
        "open",
        "os.listdir",
        "os.scandir",
        "os.system",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "sqlite3.connect",
        "subprocess.Popen",
        "time.sleep",
        "urllib.Request",
    }
)
_FRAMES: Final = 6
_ROOT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def _recorder(path: str) -> Callable[[str, tuple[Any, ...]], None]:
    writing = False

    def record(event: str, args: tuple[Any, ...]) -> None:
        nonlocal writing
        if event not in _BLOCKING or writing or asyncio.events._get_running_loop() is None:
            return
        ours = _frames()
        if ours is None:
            return
        writing = True
        try:
            with open(path, "a", encoding="utf-8") as out:
                out.write(f"{event} {args[0]!r} <- {' <- '.join(ours[:_FRAMES])}\n")
        finally:
            writing = False

    return record


def _frames() -> list[str] | None:
    """Where in our code this is; None while a module is on its way in, which is once, and Python's own affair."""
    ours: list[str] = []
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib"):
            return None
        if name.startswith(_ROOT):
            ours.append(f"{name.removeprefix(_ROOT)}:{frame.f_lineno}")
        frame = frame.f_back
    return ours


if _path := os.environ.get("MESH_TEST_BLOCKING"):
    _record = _recorder(_path)
    _sleep = time.sleep

    def _told(seconds: float) -> None:
        """time.sleep has no audit event before Python 3.13."""
        _record("time.sleep", (seconds,))
        _sleep(seconds)

    time.sleep = _told
    sys.addaudithook(_record)
