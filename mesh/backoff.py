"""Jittered exponential back-off."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Full jitter: the n-th wait is uniform in [0, min(base · 2ⁿ, maximum)), as Envoy's JitteredExponentialBackOff."""

    base: float
    maximum: float
    rng: random.Random = field(default_factory=random.Random)
    _ceiling: float = 0.0

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        self._ceiling = min(self._ceiling * 2 or self.base, self.maximum)
        return self.rng.random() * self._ceiling

    def reset(self) -> None:
        self._ceiling = 0.0
