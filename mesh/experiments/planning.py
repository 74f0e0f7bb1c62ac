"""Before an experiment: how many requests, and how long. Pure.

For a baseline, a candidate and a number of requests: how many failures would be seen if things went badly with the chance
1 - power (by the normal approximation), and whether the evidence would be enough then. The least number for which it is,
is the answer; a test holds it against simulations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from mesh.experiments.checks import ErrorShareIncrease
from mesh.experiments.data import Counts

MOST_REQUESTS = 1e9
STEPS = 60


@dataclass(frozen=True, slots=True)
class Needed:
    """`candidate` requests to the candidate, `total` to both; None where no number is enough."""

    candidate: int | None
    total: int | None

    def seconds(self, rate: float) -> float | None:
        return None if self.total is None else self.total / rate


def needed_for_errors(
    baseline: float, candidate: float, limit: float, share: float, alpha: float, power: float, checks: int = 1
) -> Needed:
    """Shares of failures of both, the limit of their difference, and the candidate's share of all requests: how many until
    it is shown that the limit is kept (or, for a candidate beyond it, broken), with the given power."""
    worse = candidate > baseline + limit
    check, z = ErrorShareIncrease(limit), NormalDist().inv_cdf(power)
    enough = math.log((checks if worse else 1) / alpha)

    def decided(total: float) -> bool:
        ours, theirs = total * share, total * (1 - share)
        spread = math.sqrt(candidate * (1 - candidate) / ours + baseline * (1 - baseline) / theirs)
        # The bad luck is put where it hurts, on the candidate's side.
        seen = candidate + (-z if worse else z) * spread
        new = Counts(ours, ours * min(max(seen, 0.0), 1.0))
        old = Counts(theirs, theirs * baseline)
        evidence = check.violated if worse else check.kept
        return evidence(old, new, enough) >= enough

    return _needed(decided, share)


def _needed(decided: Callable[[float], bool], share: float) -> Needed:
    if not decided(MOST_REQUESTS):
        return Needed(None, None)
    low, high = math.log(10), math.log(MOST_REQUESTS)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if decided(math.exp(middle)) else (middle, high)
    total = math.ceil(math.exp(high))
    return Needed(math.ceil(total * share), total)
