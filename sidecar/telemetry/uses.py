"""Which of Istio's metrics are counted how at the moment: what no listener counts so any more is to be forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sidecar.config.model import Direction, Hcm, Listener, MetricChange


class Use(NamedTuple):
    """A way of counting: of requests or of TCP sessions, of one side, with the same changes. Each has series of its own."""

    tcp: bool
    outbound: bool
    changes: tuple[MetricChange, ...] = ()

    @property
    def reporter(self) -> str:
        return "source" if self.outbound else "destination"


class Uses:
    """How many listeners count in which way. `forget` is told of a way that the last one has left."""

    def __init__(self, forget: Callable[[Use], None]) -> None:
        self._forget = forget
        self._of: dict[str, frozenset[Use]] = {}
        self._listeners: Counter[Use] = Counter()

    def set(self, name: str, listener: Listener | None) -> None:
        """A listener that is there from now on, or None for one that is gone."""
        before, now = self._of.pop(name, frozenset()), frozenset(_uses(listener) if listener is not None else ())
        if now:
            self._of[name] = now
        self._listeners.update(now - before)
        for use in before - now:
            self._listeners[use] -= 1
            if not self._listeners[use]:
                del self._listeners[use]
                self._forget(use)


def _uses(listener: Listener) -> Iterator[Use]:
    """Listeners without a direction have no part in these metrics."""
    if listener.direction is Direction.UNSPECIFIED:
        return
    outbound = listener.direction is Direction.OUTBOUND
    default = (listener.default_chain,) if listener.default_chain is not None else ()
    for chain in (*listener.chains, *default):
        yield Use(not isinstance(chain.network, Hcm), outbound, chain.network.metrics)
