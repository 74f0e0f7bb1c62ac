"""Checks: what has to hold for the candidate, and the evidence that it does or does not. Pure.

Every check has two kinds of evidence. `violated` is evidence against "it holds"; `kept` is evidence against "it does not
hold". With neither, more has to be seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from mesh.experiments.data import Counts, Latencies
from mesh.experiments.evidence import crossing, least_sum, log_evidence_above, log_evidence_below

LEAST_SHARE = 1e-7
MOST_RATIO = 64.0
INTERVAL_STEPS = 18


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the ends of its confidence sequence; None where nothing is known."""

    estimate: float | None
    low: float | None
    high: float | None


class Check(Protocol):
    """`needs` is the least evidence that matters, for an early end; `effect` is what is compared with the limit."""

    @property
    def name(self) -> str: ...
    def violated(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float: ...
    def kept(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float: ...
    def holds_so_far(self, baseline: Counts, candidate: Counts) -> bool | None: ...
    def effect(self, baseline: Counts, candidate: Counts, alpha: float) -> Interval: ...


@dataclass(frozen=True, slots=True)
class ErrorShare:
    """The candidate's share of failures is at most `limit`."""

    limit: float

    @property
    def name(self) -> str:
        return f"success ≥ {100 * (1 - self.limit):.4g} %"

    def violated(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        return log_evidence_above(candidate.failures, candidate.requests, self.limit)

    def kept(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        return log_evidence_below(candidate.failures, candidate.requests, self.limit)

    def holds_so_far(self, baseline: Counts, candidate: Counts) -> bool | None:
        share = candidate.error_share
        return None if share is None else share <= self.limit

    def effect(self, baseline: Counts, candidate: Counts, alpha: float) -> Interval:
        return share_interval(candidate.failures, candidate.requests, alpha)


@dataclass(frozen=True, slots=True)
class ErrorShareIncrease:
    """The candidate's share of failures is at most the baseline's plus `limit`."""

    limit: float

    @property
    def name(self) -> str:
        return f"errors ≤ baseline + {100 * self.limit:.4g} points"

    def violated(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        return self._evidence(baseline, candidate, self.limit, True, enough)

    def kept(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        return self._evidence(baseline, candidate, self.limit, False, enough)

    def holds_so_far(self, baseline: Counts, candidate: Counts) -> bool | None:
        ours, theirs = candidate.error_share, baseline.error_share
        return None if ours is None or theirs is None else ours <= theirs + self.limit

    def effect(self, baseline: Counts, candidate: Counts, alpha: float) -> Interval:
        ours, theirs = candidate.error_share, baseline.error_share
        if ours is None or theirs is None:
            return Interval(None, None, None)
        enough, difference = math.log(2 / alpha), ours - theirs

        def below(limit: float) -> bool:
            return self._evidence(baseline, candidate, limit, True, enough) < enough

        def above(limit: float) -> bool:
            return self._evidence(baseline, candidate, limit, False, enough) < enough

        low = crossing(below, difference, LEAST_SHARE * 4 - 1, INTERVAL_STEPS)
        return Interval(difference, low, crossing(above, difference, 1 - LEAST_SHARE * 4, INTERVAL_STEPS))

    @staticmethod
    def _evidence(baseline: Counts, candidate: Counts, limit: float, worse: bool, enough: float) -> float:
        """The least over the baseline's share m, of the evidence about both."""
        if not baseline.requests or not candidate.requests:
            return 0.0
        bad_b, bad_c = baseline.failures, candidate.failures
        all_b, all_c = baseline.requests, candidate.requests
        points = _shares(baseline, candidate, limit)
        if len(points) < 2:
            return 0.0
        pooled = (bad_b + bad_c - limit * all_c) / (all_b + all_c)
        guess = min(max(pooled, points[0]), points[-1])
        if worse:
            return least_sum(
                lambda m: log_evidence_below(bad_b, all_b, m),
                lambda m: log_evidence_above(bad_c, all_c, m + limit),
                points,
                guess,
                enough,
            )
        return least_sum(
            lambda m: log_evidence_below(bad_c, all_c, m + limit),
            lambda m: log_evidence_above(bad_b, all_b, m),
            points,
            guess,
            enough,
        )


def _shares(baseline: Counts, candidate: Counts, limit: float) -> list[float]:
    """Ascending shares of the baseline, from the least to the greatest for which there is one of the candidate."""
    low, high = max(0.0, -limit), min(1.0, 1.0 - limit)
    seen = {baseline.failures / baseline.requests, candidate.failures / candidate.requests - limit}
    seen |= {(baseline.failures + candidate.failures) / (baseline.requests + candidate.requests)}
    # A hair beside 0 and 1, where nothing is evidence.
    low, high = low + LEAST_SHARE, high - LEAST_SHARE
    return sorted({low, high, *(share for share in seen if low < share < high)}) if low < high else []


@dataclass(frozen=True, slots=True)
class LatencyRatio:
    """The candidate's quantile is at most `limit` times the baseline's."""

    quantile: float
    limit: float

    @property
    def name(self) -> str:
        return f"p{100 * self.quantile:g} ≤ {self.limit:g} × baseline"

    def violated(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        return self._evidence(baseline.latencies, candidate.latencies, self.limit, True, enough)

    def kept(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        return self._evidence(baseline.latencies, candidate.latencies, self.limit, False, enough)

    def holds_so_far(self, baseline: Counts, candidate: Counts) -> bool | None:
        ours, theirs = candidate.latencies.quantile(self.quantile), baseline.latencies.quantile(self.quantile)
        return None if ours is None or theirs is None else ours <= self.limit * theirs

    def effect(self, baseline: Counts, candidate: Counts, alpha: float) -> Interval:
        one, other = baseline.latencies, candidate.latencies
        theirs, ours = one.quantile(self.quantile), other.quantile(self.quantile)
        if not theirs or ours is None:
            return Interval(None, None, None)
        enough, ratio = math.log(2 / alpha), ours / theirs

        def below(power: float) -> bool:
            return self._evidence(one, other, math.exp(power), True, enough) < enough

        def above(power: float) -> bool:
            return self._evidence(one, other, math.exp(power), False, enough) < enough

        most, at = math.log(MOST_RATIO), math.log(max(ratio, 1 / MOST_RATIO))
        low, high = crossing(below, at, -most, INTERVAL_STEPS), crossing(above, at, most, INTERVAL_STEPS)
        return Interval(ratio, math.exp(low), math.exp(high))

    def _evidence(self, baseline: Latencies, candidate: Latencies, ratio: float, worse: bool, enough: float) -> float:
        """The least over the baseline's quantile m, of the evidence about both."""
        if not baseline.total or not candidate.total:
            return 0.0
        q, all_b, all_c = self.quantile, baseline.total, candidate.total
        both = baseline.plus(candidate)
        points, guess = both.corners(ratio), both.quantile(q) or 0.0
        if worse:
            return least_sum(
                lambda m: log_evidence_above(baseline.at_most(m), all_b, q),
                lambda m: log_evidence_below(candidate.at_most(m * ratio), all_c, q),
                points,
                guess,
                enough,
            )
        return least_sum(
            lambda m: log_evidence_above(candidate.at_most(m * ratio), all_c, q),
            lambda m: log_evidence_below(baseline.at_most(m), all_b, q),
            points,
            guess,
            enough,
        )


@dataclass(frozen=True, slots=True)
class LatencyLimit:
    """The candidate's quantile is at most `limit` milliseconds."""

    quantile: float
    limit: float

    @property
    def name(self) -> str:
        return f"p{100 * self.quantile:g} ≤ {self.limit:g} ms"

    def violated(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        latencies = candidate.latencies
        return log_evidence_below(latencies.at_most(self.limit), latencies.total, self.quantile)

    def kept(self, baseline: Counts, candidate: Counts, enough: float = -math.inf) -> float:
        latencies = candidate.latencies
        return log_evidence_above(latencies.at_most(self.limit), latencies.total, self.quantile)

    def holds_so_far(self, baseline: Counts, candidate: Counts) -> bool | None:
        value = candidate.latencies.quantile(self.quantile)
        return None if value is None else value <= self.limit

    def effect(self, baseline: Counts, candidate: Counts, alpha: float) -> Interval:
        return quantile_interval(candidate.latencies, self.quantile, alpha)


def share_interval(ones: float, trials: float, alpha: float) -> Interval:
    """The always-valid interval of a share."""
    if not trials:
        return Interval(None, None, None)
    enough, share = math.log(2 / alpha), ones / trials
    low = crossing(lambda p: log_evidence_above(ones, trials, p) < enough, share, 0.0) if ones else 0.0
    high = crossing(lambda p: log_evidence_below(ones, trials, p) < enough, share, 1.0) if ones < trials else 1.0
    return Interval(share, low, high)


def quantile_interval(latencies: Latencies, quantile: float, alpha: float) -> Interval:
    """The always-valid interval of a quantile; its upper end is None while it lies beyond the last bucket."""
    value = latencies.quantile(quantile)
    if value is None:
        return Interval(None, None, None)
    enough, total, last = math.log(2 / alpha), latencies.total, latencies.bounds[-1]

    def too_low(point: float) -> bool:
        return log_evidence_below(latencies.at_most(point), total, quantile) < enough

    def too_high(point: float) -> bool:
        return log_evidence_above(latencies.at_most(point), total, quantile) < enough

    high = crossing(too_high, value, last)
    return Interval(value, crossing(too_low, value, 0.0), None if high == last and too_high(last) else high)
