"""Circuit-breaker limits: how much of a cluster this proxy may use at once (Envoy's thresholds, per priority)."""

from __future__ import annotations

from sidecar.config.model import Limits


class Budget:
    """The limits of one priority and what is in use. Taken and given back by whoever uses: streams and pools."""

    __slots__ = ("connections", "limits", "max_requests", "pending", "requests", "retries")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.max_requests = limits.max_requests
        self.connections = 0
        self.pending = 0
        self.requests = 0
        self.retries = 0

    def update(self, limits: Limits) -> None:
        self.limits = limits
        self.max_requests = limits.max_requests

    def may_retry(self) -> bool:
        return self.retries < self._retries_allowed()

    def _retries_allowed(self) -> int:
        limits = self.limits
        if limits.budget_percent is None:
            return limits.max_retries
        return max(limits.budget_min, int(limits.budget_percent * (self.requests + self.pending) / 100))

    def reached(self) -> tuple[bool, bool, bool, bool]:
        """Which limits are used up: of connections, of waiting requests, of requests, of retries."""
        limits = self.limits
        return (
            self.connections >= limits.max_connections,
            self.pending >= limits.max_pending,
            self.requests >= self.max_requests,
            not self.may_retry(),
        )

    def remaining(self) -> tuple[int, int, int, int]:
        """How much of each limit is left, in the same order."""
        limits = self.limits
        return (
            max(0, limits.max_connections - self.connections),
            max(0, limits.max_pending - self.pending),
            max(0, self.max_requests - self.requests),
            max(0, self._retries_allowed() - self.retries),
        )
