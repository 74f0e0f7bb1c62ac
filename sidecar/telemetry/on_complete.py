"""Who hears of a finished exchange (metrics, logs, spans): all observers of a connection manager as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from sidecar.http.exchange import Exchange
from sidecar.telemetry.cells import Counter

log: Final = logging.getLogger(__name__)

# Called with a finished exchange, at a moment of its clock.
Observer = Callable[[Exchange, float], None]


def guarded(observers: Sequence[Observer], errors: Counter) -> Observer:
    """All of them as one. An exchange that one of them cannot digest is a fault of ours that is told of, not a reason to
    leave the connection, or the other observers, in the middle of it. (A `try` costs nothing until it is needed.)"""
    logged: set[tuple[Observer, type[Exception]]] = set()

    def observe_all(exchange: Exchange, now: float) -> None:
        for observer in observers:
            try:
                observer(exchange, now)
            except Exception as error:
                errors.value += 1
                if (observer, type(error)) not in logged:
                    logged.add((observer, type(error)))
                    log.exception("an exchange could not be accounted; further errors like this are only counted")

    return observe_all
