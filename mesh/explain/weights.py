"""A configured split beside the observed one: shares with their intervals, and what explains a difference. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final

CONFIDENCE: Final = 0.95
MARGIN: Final = 0.05  # half an interval that is wider than that says little
RETRIES: Final = 0.05  # a share of retries that is worth a word


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float

    def __contains__(self, share: float) -> bool:
        return self.low <= share <= self.high

    @property
    def margin(self) -> float:
        return (self.high - self.low) / 2


def wilson(count: int, total: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a share (E. B. Wilson 1927): it holds for few requests and for shares near 0 and 1, too.
    Without any requests it is everything."""
    if not total:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(1 - (1 - confidence) / 2)
    share, spread = count / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return Interval(max(0.0, centre - reach), min(1.0, centre + reach))


@dataclass(frozen=True, slots=True)
class Share:
    """One destination of a split. `configured` is from 0 to 1, `requests` what went there, without retries."""

    name: str
    configured: float
    requests: int
    retries: int = 0
    unusable: str = ""  # why it takes no requests, if it takes none


@dataclass(frozen=True, slots=True)
class Split:
    """What a caller does. `decided_by` is what decides in the place of chance, `in_front` are the rules before that take
    some requests by their own conditions, `others` how many rules split the same host besides."""

    caller: str
    shares: tuple[Share, ...]
    decided_by: str = ""
    in_front: tuple[str, ...] = ()
    others: int = 0
    connections: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def total(self) -> int:
        return sum(share.requests for share in self.shares)


def intervals(split: Split) -> list[Interval]:
    """One for each share; all of them hold together with the confidence."""
    each = 1 - (1 - CONFIDENCE) / max(1, len(split.shares) - 1)
    return [wilson(share.requests, split.total, each) for share in split.shares]


def agrees(split: Split) -> bool:
    return all(share.configured in interval for share, interval in zip(split.shares, intervals(split), strict=True))


def needed(split: Split) -> int:
    """About how many requests it takes to know the shares within the margin."""
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2)
    total = split.total
    seen = (share.requests / total for share in split.shares if total)
    widest = max((each * (1 - each) for each in (*seen, *(share.configured for share in split.shares))), default=0.25)
    return math.ceil(z * z * widest / MARGIN**2)


def verdict(split: Split) -> str:
    if not split.total:
        return "no requests in this time: nothing can be said"
    if agrees(split):
        return "as configured, as far as so few requests can tell" if split.total < needed(split) else "as configured"
    return "not as configured"


def reasons(split: Split) -> list[str]:
    """What may make the observed split another than the configured one, or keep it from being told."""
    return [*_of_the_rules(split), *_of_the_traffic(split), *split.notes]


def _of_the_rules(split: Split) -> Iterable[str]:
    if split.decided_by:
        yield f"not drawn by chance: {split.decided_by} decides, so that equal requests go to one destination"
    for rule in split.in_front:
        yield f"a rule in front takes some of the requests: {rule}"
    if split.others:
        yield f"{split.others} more of the caller's rules go to the same clusters: their requests are among these"
    if split.connections:
        yield "connections are split, not requests: long-lived ones keep their destination"


def _of_the_traffic(split: Split) -> Iterable[str]:
    for share in split.shares:
        if share.unusable:
            yield f"{share.name} takes no requests: {share.unusable}"
    total, retries = split.total, sum(share.retries for share in split.shares)
    if total and retries / total > RETRIES:
        yield f"{retries} retries came on top of {total} requests: they stay with their destination, and are not counted"
    if 0 < total < needed(split):
        yield f"{total} requests are few: about {needed(split)} tell the shares within {MARGIN * 100:g} points"


def table(splits: Sequence[Split]) -> list[list[str]]:
    """Rows: caller, destination, configured, observed, interval, requests."""
    rows = []
    for split in splits:
        for number, (share, interval) in enumerate(zip(split.shares, intervals(split), strict=True)):
            observed = f"{share.requests / split.total:.1%}" if split.total else "-"
            between = f"{interval.low:.1%} - {interval.high:.1%}" if split.total else "-"
            caller = split.caller if not number else ""
            rows.append([caller, share.name, f"{share.configured:.1%}", observed, between, str(share.requests)])
    return rows
