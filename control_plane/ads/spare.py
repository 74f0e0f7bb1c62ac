"""Memory that a burst of responses has left goes back to the system once it is quiet.

What glibc has been given back it keeps for the next time, here and there between what is still in use: after a thousand
proxies have come back at once, a tenth of the process (https://man7.org/linux/man-pages/man3/malloc_trim.3.html).
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final, Protocol

QUIET_SECONDS: Final = 2.0


class Timer(Protocol):
    def cancel(self) -> None: ...


Later = Callable[[float, Callable[[], None]], Timer]


def give_back() -> None:
    """Takes a few milliseconds. Does nothing where the C library has no such function."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def later(seconds: float, what: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, what)


class SpareMemory:
    """Gives memory back when nothing has stirred for `quiet` seconds, once for every time that something has."""

    def __init__(
        self, give_back: Callable[[], None] = give_back, later: Later = later, quiet: float = QUIET_SECONDS
    ) -> None:
        self._give_back = give_back
        self._later = later
        self._quiet = quiet
        self._stirred = False
        self._timer: Timer | None = None

    def stir(self) -> None:
        """Something goes on. Costs next to nothing."""
        self._stirred = True
        if self._timer is None:
            self._look()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._stirred:
            self._stirred = False
            self._timer = self._later(self._quiet, self._look)
        else:
            self._timer = None
            self._give_back()
