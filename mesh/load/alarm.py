"""An alarm clock for an event loop that is exact to the microsecond. Loops wait in whole milliseconds; a load that is due
every 100 µs, or whose answers take 300 µs, is measured wrong by that. On Linux it is a timerfd, elsewhere the loop's own."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Any

CLOCK_MONOTONIC = 1
NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
NANO = 1_000_000_000
SHORTEST = 1_000  # ns; a timerfd set to 0 is switched off


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """`set(seconds)` has `ring` called after so long, once; a later `set` replaces an earlier one."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._libc: Any = None
        self._file = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = self._libc.timerfd_create(CLOCK_MONOTONIC, NONBLOCK_CLOEXEC)
        if self._file >= 0:
            self._loop.add_reader(self._file, self._rang)

    def set(self, seconds: float) -> None:
        if self._file < 0:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = self._loop.call_later(max(seconds, 0.0), self._ring)
            return
        whole, rest = divmod(max(int(seconds * NANO), SHORTEST), NANO)
        spec = _Itimerspec(_Timespec(0, 0), _Timespec(whole, rest))
        self._libc.timerfd_settime(self._file, 0, ctypes.byref(spec), None)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1

    def _rang(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return  # it was set anew in between
        self._ring()
