"""PromQL's functions, with Prometheus' arithmetic (promql/functions.go and quantile.go, release 2.42)."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from typing import Final

from mesh.promql.series import METRIC, Labels, Sample
from mesh.promql.syntax import PromqlError

Vector = dict[Labels, float]
Matrix = list[tuple[Labels, list[Sample]]]

_NEAR: Final = 1.1  # of the mean distance of samples: a window's end that is nearer is counted as covered


def extrapolated(
    samples: Sequence[Sample], at: float, window: float, *, counter: bool, per_second: bool
) -> float | None:
    """rate, increase and delta: the change of one series over its window, None for a single sample."""
    if len(samples) < 2:
        return None
    (began, first), (ended, last) = samples[0], samples[-1]
    change = last - first
    if counter:
        pairs = itertools.pairwise(samples)
        change += sum(before for (_, before), (_, after) in pairs if after < before)
    covered = ended - began
    mean = covered / (len(samples) - 1)
    to_start, to_end = began - (at - window), at - ended
    if counter and change > 0 and first >= 0:
        to_start = min(to_start, covered * (first / change))  # a counter begins at zero
    whole = (
        covered + (to_start if to_start < mean * _NEAR else mean / 2) + (to_end if to_end < mean * _NEAR else mean / 2)
    )
    factor = whole / covered if covered else math.nan
    return change * factor / (window if per_second else 1.0)


def instant_rate(samples: Sequence[Sample]) -> float | None:
    """irate: from the last two samples."""
    if len(samples) < 2:
        return None
    (began, first), (ended, last) = samples[-2:]
    return (last if last < first else last - first) / (ended - began) if ended > began else None


def over_window(samples: Sequence[Sample], how: Callable[[list[float]], float]) -> float:
    return how([value for _, value in samples])


def histogram_quantile(q: float, vector: Vector) -> Vector:
    """Of each classic histogram, told apart by its labels without `le`."""
    histograms: dict[Labels, list[tuple[float, float]]] = {}
    for labels, value in vector.items():
        have = dict(labels)
        bound = have.pop("le", None)
        if bound is None:
            continue
        have.pop(METRIC, None)
        histograms.setdefault(tuple(sorted(have.items())), []).append((_bound(bound), value))
    return {labels: bucket_quantile(q, sorted(buckets)) for labels, buckets in histograms.items()}


def bucket_quantile(q: float, buckets: list[tuple[float, float]]) -> float:
    """Linear within the bucket that holds it; `buckets` are upper bounds and cumulative counts, +Inf last."""
    if len(buckets) < 2 or not math.isinf(buckets[-1][0]):
        return math.nan
    if math.isnan(q) or q < 0 or q > 1:
        return math.nan if math.isnan(q) else math.copysign(math.inf, q)
    counts: list[float] = []
    for _, count in buckets:
        counts.append(max(count, counts[-1]) if counts else count)
    if not counts[-1]:
        return math.nan
    rank = q * counts[-1]
    found = next((index for index, count in enumerate(counts) if count >= rank), len(counts) - 1)
    if found == len(buckets) - 1:
        return buckets[-2][0]
    end = buckets[found][0]
    if found == 0:
        return end if end <= 0 else end * (rank / counts[0])
    start, below = buckets[found - 1][0], counts[found - 1]
    return start + (end - start) * ((rank - below) / (counts[found] - below))


def label_replace(vector: Vector, target: str, replacement: str, source: str, pattern: str) -> Vector:
    """Sets `target` from what `pattern` finds in the label `source`, where all of it matches."""
    found, template = re.compile(pattern).fullmatch, re.sub(r"\$(\w+|\{\w+\})", _group, replacement)
    result: Vector = {}
    for labels, value in vector.items():
        have = dict(labels)
        if (match := found(have.get(source, ""))) is not None:
            have[target] = match.expand(template)
            if not have[target]:
                del have[target]
        key = tuple(sorted(have.items()))
        if key in result:
            raise PromqlError("label_replace: two series would have the same labels")
        result[key] = value
    return result


def _group(found: re.Match[str]) -> str:
    return rf"\g<{found[1].strip('{}')}>"


def _bound(text: str) -> float:
    return math.inf if text in ("+Inf", "Inf", "inf") else float(text)
