"""Access logs of what is still going on."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from sidecar.process.timers import Deadlines

if TYPE_CHECKING:
    from sidecar.http.exchange import Exchange


class PeriodicLog:
    """Logs an exchange every `interval` seconds, as long as it is not `over`."""

    __slots__ = ("_exchange", "_interval", "_log", "_over", "_watch", "deadline")

    def __init__(
        self,
        exchange: Exchange,
        log: Callable[[Exchange, float], None],
        interval: float,
        watch: Deadlines,
        over: Callable[[], bool],
    ) -> None:
        self._exchange = exchange
        self._log = log
        self._interval = interval
        self._watch = watch
        self._over = over
        self.deadline = monotonic() + interval
        watch.add(self)

    def on_deadline(self, now: float) -> None:
        if self._over():
            self._watch.remove(self)
            return
        self.deadline = now + self._interval
        self._log(self._exchange, now)
