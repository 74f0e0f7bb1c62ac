"""The last lines of the access logs, for who has no access to the files: kept when a batch is written, not by requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

RING_LINES: Final = 2000
RING_BYTES: Final = 4 * 1024 * 1024


class LogLine(NamedTuple):
    """A line and when its batch was written, in Unix seconds."""

    at: float
    text: str


class LogRing:
    """Bounded in lines and in bytes."""

    def __init__(self) -> None:
        self._batches: deque[tuple[float, list[bytes]]] = deque()
        self._lines = 0
        self._bytes = 0

    def add(self, at: float, lines: Iterable[bytes]) -> None:
        batch = list(lines)
        self._batches.append((at, batch))
        self._lines += len(batch)
        self._bytes += sum(map(len, batch))
        while len(self._batches) > 1 and (self._lines > RING_LINES or self._bytes > RING_BYTES):
            _, oldest = self._batches.popleft()
            self._lines -= len(oldest)
            self._bytes -= sum(map(len, oldest))

    def after(self, at: float) -> list[LogLine]:
        """The lines whose batches were written later than `at`, oldest first, RING_LINES of them at most."""
        found = [
            LogLine(when, line.decode(errors="replace").rstrip("\n"))
            for when, batch in self._batches
            if when > at
            for line in batch
        ]
        return found[-RING_LINES:]
