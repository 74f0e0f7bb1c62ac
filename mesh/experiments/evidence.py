"""Evidence that may be looked at any number of times: likelihood ratios against the best case of the other side.

A stream of 0s and 1s with an unknown share of 1s, and a claim such as "the share is at most p". For any larger share q the
likelihood ratio of q against p is a supermartingale under the claim, and so is a mixture of such ratios; by Ville's
inequality it ever exceeds 1/α with a probability of at most α, however often one looks. That is Robbins' method of
mixtures (1970), the mixture SPRT of Johari, Koomen, Pekelis and Walsh (KDD 2017), the e-process of Ramdas, Grünwald, Vovk
and Shafer (2023). The mixture here is of twelve shares whose log-odds lie a geometric row of steps beyond p: it costs about
as much for small effects in long experiments as for large effects in short ones.

Two streams with a claim about both ("the candidate's share is at most the baseline's plus d"): under the claim, for the true
share m of the baseline, the ratio against "baseline at least m" times that against "candidate at most m + d" is such a
process. m is not known, so the least product over all m counts.

A quantile is a share: "p99 is at most x" says that 0.99 of all lie at or below x (Howard and Ramdas, 2022). Counts may be
fractional: for values between 0 and 1 the same inequality holds, because a^x·b^(1-x) is convex in x.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from heapq import heapify, heappush, heapreplace
from typing import Final

STEPS: Final = tuple(0.02 * 1.6**k for k in range(12))  # of log-odds: from 2 % more to 34 times as much
_LOG_WEIGHT: Final = -math.log(len(STEPS))
TOLERANCE: Final = 0.02
MOST_SPLITS: Final = 400
INFINITE: Final = 1e9  # evidence of what cannot be


def log_evidence_above(ones: float, trials: float, p: float) -> float:
    """Natural log of the evidence against "the share of ones is at most p"."""
    if p <= 0:
        return INFINITE if ones > 0 else 0.0
    if p >= 1:
        return 0.0
    zeros = trials - ones
    logs = [ones * gain + zeros * loss for gain, loss in _ratios(p)]
    most = max(logs)
    return most + math.log(sum(math.exp(each - most) for each in logs)) + _LOG_WEIGHT


def log_evidence_below(ones: float, trials: float, p: float) -> float:
    """Natural log of the evidence against "the share of ones is at least p"."""
    return log_evidence_above(trials - ones, trials, 1 - p)


@lru_cache(maxsize=65_536)
def _ratios(p: float) -> tuple[tuple[float, float], ...]:
    """For each step: the log-likelihood ratio of a one, and of a zero, of the share beyond p against p."""
    odds = math.log(p / (1 - p))
    rows = []
    for step in STEPS:
        q = 1 / (1 + math.exp(-(odds + step)))
        rows.append((math.log(q / p), math.log1p(-q) - math.log1p(-p)))
    return tuple(rows)


def least_sum(
    rising: Callable[[float], float],
    falling: Callable[[float], float],
    points: Sequence[float],
    guess: float,
    enough: float,
) -> float:
    """The least value of rising(m) + falling(m) between the first and the last of some ascending points, too low by at
    most `TOLERANCE`. Branch and bound: between two points the sum is at least rising(left) + falling(right). Ends early
    when something less than `enough` is found, and gives that; it looks at `guess` first."""
    first = rising(guess) + falling(guess)
    if first < enough:
        return first
    ups, downs = [rising(point) for point in points], [falling(point) for point in points]
    best = min(up + down for up, down in zip(ups, downs, strict=True))
    segments = [(ups[index] + downs[index + 1], points[index], points[index + 1]) for index in range(len(points) - 1)]
    heapify(segments)
    for _ in range(MOST_SPLITS):
        bound, left, right = segments[0]
        if best < enough or bound >= best - TOLERANCE:
            break
        middle = (left + right) / 2
        up, down = rising(middle), falling(middle)
        best = min(best, up + down)
        heapreplace(segments, (rising(left) + down, left, middle))
        heappush(segments, (up + falling(right), middle, right))
    return min(best, max(segments[0][0], best - TOLERANCE)) if best >= enough else best


def crossing(accepts: Callable[[float], bool], inside: float, outside: float, steps: int = 40) -> float:
    """Where `accepts` ends on the way from `inside`, where it holds, to `outside`; `outside` itself if it holds there."""
    if accepts(outside):
        return outside
    for _ in range(steps):
        middle = (inside + outside) / 2
        if accepts(middle):
            inside = middle
        else:
            outside = middle
    return outside


def holm(logs: Iterable[float], alpha: float) -> list[bool]:
    """Which of several pieces of evidence are enough, so that any of them is wrong with a probability of at most α: Holm's
    step-down on the always-valid p-values exp(-log evidence)."""
    found = list(logs)
    order = sorted(range(len(found)), key=lambda index: -found[index])
    rejected = [False] * len(found)
    for rank, index in enumerate(order):
        if found[index] < math.log((len(found) - rank) / alpha):
            break
        rejected[index] = True
    return rejected
