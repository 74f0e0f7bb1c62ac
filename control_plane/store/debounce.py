"""Many changes in short order become one: wait for quiet, but not for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

QUIET_SECONDS: Final = 0.1  # Istio's PILOT_DEBOUNCE_AFTER
LONGEST_SECONDS: Final = 10.0  # Istio's PILOT_DEBOUNCE_MAX


@dataclass(slots=True)
class Debounce:
    """Times are of any one clock. `first` is None while nothing is waiting."""

    quiet: float = QUIET_SECONDS
    longest: float = LONGEST_SECONDS
    first: float | None = None
    _last: float = 0.0

    def changed(self, now: float) -> None:
        if self.first is None:
            self.first = now
        self._last = now

    @property
    def due(self) -> float | None:
        """When what is waiting is to be let through."""
        return None if self.first is None else min(self._last + self.quiet, self.first + self.longest)

    def take(self, now: float) -> float | None:
        """When it is due: the time of the first change, and nothing is waiting any more. Else None."""
        first, due = self.first, self.due
        if first is None or due is None or now < due:
            return None
        self.first = None
        return first
