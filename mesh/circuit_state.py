"""The states of a circuit breaker, as the sidecar's pages and metrics name them."""

from __future__ import annotations

from enum import StrEnum


class CircuitState(StrEnum):
    """Closed lets requests through, open refuses them, half-open lets a few through to see."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"
