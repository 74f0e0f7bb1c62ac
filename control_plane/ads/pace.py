"""How soon the next world may go out: however often things change, pushes leave most of a processor to everything else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SHARE: Final = 0.35  # of a processor, while changes keep coming
LONGEST_SECONDS: Final = 3.0


@dataclass(slots=True)
class Pace:
    """A change after a quiet time goes out at once. One that comes soon after another waits until the CPU time that the last
    push took is no more than SHARE of the time since it began, at most LONGEST_SECONDS; what comes meanwhile goes with it.
    `cpu` returns the seconds that the process has spent so far; `now` is of any one clock."""

    share: float = SHARE
    longest: float = LONGEST_SECONDS
    cpu: Callable[[], float] = field(default=time.process_time)
    _began_at: float | None = None
    _cpu_then: float = 0.0
    _cost: float | None = None

    def began(self, now: float) -> None:
        """A world goes out now."""
        self._began_at, self._cpu_then, self._cost = now, self.cpu(), None

    def ended(self) -> None:
        """All proxies have it: what the process does from now on is something else."""
        if self._cost is None:
            self._cost = self.cpu() - self._cpu_then

    def wait(self, now: float) -> float:
        """Seconds until the next may; it grows until the last one has ended, so ask again then."""
        if self._began_at is None:
            return 0.0
        cost = self.cpu() - self._cpu_then if self._cost is None else self._cost
        return max(0.0, self._began_at + min(self.longest, cost / self.share) - now)
