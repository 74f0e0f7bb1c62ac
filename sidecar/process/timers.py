"""Coarse deadlines for what almost never expires.

A `call_later` and its cancel cost 0.8 µs; every request and every connection has deadlines, and nearly none is reached.
`Deadlines` keeps a set (0.05 µs to enter and leave) and looks through it a hundred times a second, only while there is
something in it. What has to be precise (back-off, per-try time-outs) uses the loop's own timers.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, Protocol

# A moment that does not come.
NEVER: Final = float("inf")


class Watched(Protocol):
    """Something with a moment (`time.monotonic()` seconds) after which `on_deadline` is called.

    `on_deadline` either ends the object's watch (`Deadlines.remove`) or moves `deadline` on; it must not raise.
    """

    deadline: float

    def on_deadline(self, now: float) -> None: ...


class Deadlines:
    """The watched objects of one kind; `tick` seconds is how late they may learn of their deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: float) -> None:
        self._loop = loop
        self._tick = tick
        self._watched: set[Watched] = set()
        self._running = False

    def __len__(self) -> int:
        return len(self._watched)

    def add(self, item: Watched) -> None:
        self._watched.add(item)
        if not self._running:
            self._running = True
            self._loop.call_later(self._tick, self._look)

    def remove(self, item: Watched) -> None:
        self._watched.discard(item)

    def _look(self) -> None:
        if not self._watched:
            self._running = False
            return
        self._loop.call_later(self._tick, self._look)  # first: whatever happens, the others have deadlines too
        now = monotonic()
        for item in [item for item in self._watched if item.deadline <= now]:
            if item in self._watched:  # an earlier one in this round may have ended it
                self._tell(item, now)

    def _tell(self, item: Watched, now: float) -> None:
        try:
            item.on_deadline(now)
        except BaseException:
            self._watched.discard(item)  # else it would raise again at every tick, and those behind it never be told
            raise
