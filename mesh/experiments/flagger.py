"""Flagger's rule with the defaults of its documentation, to compare with: thresholds on the candidate alone, each interval.

Each interval in which success is at least 99 % and p99 at most 500 ms moves the weight on by 10; each in which it is not
counts as failed. 5 failed ones roll back, a weight of 50 promotes. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from mesh.experiments.data import Counts
from mesh.experiments.verdict import Verdict


@dataclass(slots=True)
class FlaggerRule:
    """Fed with what the candidate did in one interval after the other."""

    least_success: float = 0.99
    most_p99: float = 500.0
    threshold: int = 5
    step_weight: int = 10
    max_weight: int = 50
    weight: int = 10
    failed: int = 0

    def interval(self, candidate: Counts) -> Verdict:
        share, p99 = candidate.error_share, candidate.latencies.quantile(0.99)
        bad = share is not None and share > 1 - self.least_success
        bad = bad or (p99 is not None and p99 > self.most_p99)
        if bad:
            self.failed += 1
            return Verdict.ROLL_BACK if self.failed >= self.threshold else Verdict.NOT_ENOUGH
        if self.weight >= self.max_weight:
            return Verdict.PROMOTE
        self.weight += self.step_weight
        return Verdict.NOT_ENOUGH
