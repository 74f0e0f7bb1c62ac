"""A pybreaker breaker per endpoint, opened and closed at the moments of Envoy's ejections; also the one of a whole
cluster (`circuit`), whose host is `*`.

The breaker does not sit in the request path (its `call` costs 1.3 µs and holds a lock): the hot path counts an integer in
`outlier`, and the breaker carries the state, its storage and its listeners. Open means ejected.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import pybreaker

log = logging.getLogger(__name__)

# Called with the cluster's name, the host's, the new state and the reason of the change.
StateListener = Callable[[str, str, str, str], None]


class _Relay(pybreaker.CircuitBreakerListener):
    """Tells our listeners of a state change, with the reason that pybreaker does not know."""

    def __init__(self, cluster: str, host: str, listeners: Sequence[StateListener]) -> None:
        self._cluster = cluster
        self._host = host
        self._listeners = listeners
        self.reason = ""

    def state_change(self, _breaker: Any, _old: Any, new: Any) -> None:
        for listener in self._listeners:
            listener(self._cluster, self._host, new.name, self.reason)


class HostBreaker:
    """The breaker of one endpoint. `state` is pybreaker's word: `closed` or `open`."""

    def __init__(self, cluster: str, host: str, listeners: Sequence[StateListener]) -> None:
        self._relay = _Relay(cluster, host, listeners)
        self._breaker = pybreaker.CircuitBreaker(name=f"{cluster} {host}", listeners=[self._relay])

    @property
    def state(self) -> str:
        return str(self._breaker.current_state)

    @property
    def reason(self) -> str:
        """Why it is in its state."""
        return self._relay.reason

    @property
    def counts(self) -> tuple[int, int, int] | None:
        """Outlier detection counts for it; see `outlier`."""
        return None

    @property
    def opens_at(self) -> str:
        return ""

    def open(self, reason: str) -> None:
        self._relay.reason = reason
        self._breaker.open()

    def half_open(self, reason: str) -> None:
        self._relay.reason = reason
        self._breaker.half_open()

    def close(self, reason: str) -> None:
        self._relay.reason = reason
        self._breaker.close()


def log_state(cluster: str, host: str, state: str, reason: str) -> None:
    """A listener that logs: an opened breaker is a warning."""
    level = logging.WARNING if state == pybreaker.STATE_OPEN else logging.INFO
    log.log(level, "breaker of %s in %s is %s: %s", host, cluster, state, reason)
