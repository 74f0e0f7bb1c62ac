"""`%START_TIME%`, which most lines have: ISO 8601 in UTC with milliseconds."""

from __future__ import annotations

import time
from typing import Final

from mesh.clock import Clock

_MILLISECONDS: Final = [f"{n:03d}Z" for n in range(1000)]


class StartTime:
    """Moments of the loop's clock as text; all but the milliseconds is rendered once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = 0.0
        self._second = -1
        self._prefix = ""

    def text(self, moment: float) -> str:
        wall = moment + self._offset
        if int(wall) != self._second:
            self._offset = self._clock.wall() - self._clock.monotonic()  # somebody may have set the clock
            wall = moment + self._offset
            self._second = int(wall)
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(self._second))
        return self._prefix + _MILLISECONDS[int((wall - self._second) * 1000)]
