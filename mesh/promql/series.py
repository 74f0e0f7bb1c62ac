"""Samples in memory: what scrapes brought, for as long as rules look back."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from mesh.promql.syntax import Selector

LOOKBACK_SECONDS: Final = 300.0  # an instant selector takes no older sample (Prometheus' default)
METRIC: Final = "__name__"

Labels = tuple[tuple[str, str], ...]  # sorted by name, the metric's name among them
Sample = tuple[float, float]  # seconds, value; NaN says that the series ended there


def labels_of(name: str, labels: Mapping[str, str]) -> Labels:
    return tuple(sorted({**labels, METRIC: name}.items()))


class Store:
    """Samples of the last `keep` seconds, at most `most` series of them; those beyond are counted in `refused`."""

    def __init__(self, keep: float, most: int = 500_000) -> None:
        self._keep = keep
        self._most = most
        self._series: dict[str, dict[Labels, list[Sample]]] = {}
        self._of_target: dict[str, set[Labels]] = {}
        self._count = 0
        self.refused = 0

    def scraped(self, target: str, at: float, samples: Iterable[tuple[Labels, float]]) -> None:
        """Takes what one scrape of a target brought; a series of the target that is not in it has ended."""
        before, now = self._of_target.get(target, set()), set()
        for labels, value in samples:
            if self._add(labels, at, value):
                now.add(labels)
        for labels in before - now:
            self._add(labels, at, math.nan)
        self._of_target[target] = now

    def forget(self, now: float) -> None:
        """Lets go of what is older than `keep`."""
        oldest = now - self._keep
        for name, found in list(self._series.items()):
            for labels, samples in list(found.items()):
                del samples[: bisect_left(samples, (oldest, -math.inf))]
                if not samples:
                    del found[labels]
                    self._count -= 1
            if not found:
                del self._series[name]

    def newest(self, selector: Selector, at: float) -> Iterator[tuple[Labels, float]]:
        """For each series that matches and has not ended: its newest sample."""
        for labels, samples in self._matching(selector):
            index = bisect_right(samples, (at, math.inf)) - 1
            if index >= 0 and samples[index][0] > at - LOOKBACK_SECONDS and not math.isnan(samples[index][1]):
                yield labels, samples[index][1]

    def window(self, selector: Selector, at: float) -> Iterator[tuple[Labels, list[Sample]]]:
        """For each series that matches: its samples of the selector's window."""
        for labels, samples in self._matching(selector):
            began = bisect_left(samples, (at - selector.window, -math.inf))
            ended = bisect_right(samples, (at, math.inf))
            if found := [each for each in samples[began:ended] if not math.isnan(each[1])]:
                yield labels, found

    def _add(self, labels: Labels, at: float, value: float) -> bool:
        name = dict(labels)[METRIC]
        found = self._series.setdefault(name, {})
        samples = found.get(labels)
        if samples is None:
            if self._count >= self._most:
                self.refused += 1
                return False
            samples = found[labels] = []
            self._count += 1
        samples.append((at, value))
        return True

    def _matching(self, selector: Selector) -> Iterator[tuple[Labels, list[Sample]]]:
        conditions = [matcher.compiled() for matcher in selector.matchers]
        names = [selector.name] if selector.name else list(self._series)
        for name in names:
            for labels, samples in self._series.get(name, {}).items():
                have = dict(labels)
                if all(condition(have) for condition in conditions):
                    yield labels, samples
