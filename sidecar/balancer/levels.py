"""The hosts of one priority, by what they are good for; and how much of the traffic each priority gets.

A level takes traffic in proportion to its health times the overprovisioning factor; what it cannot take spills to the
next, to degraded hosts last. While all levels together cannot take everything, one whose share of usable hosts is below
the panic threshold uses all its hosts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sidecar.config.model import Balancing
from sidecar.upstream.host import Host

if TYPE_CHECKING:
    from sidecar.telemetry.stats import ClusterStats

# Region, zone, sub-zone.
Place = tuple[str, str, str]


class Level:
    """The hosts of one priority. Those of a subset know the `whole` level that they are part of."""

    __slots__ = ("counted", "degraded", "healthy", "hosts", "whole")

    def __init__(self, hosts: Sequence[Host], whole: Level | None = None) -> None:
        self.hosts = hosts
        self.healthy: list[Host] = []
        self.degraded: list[Host] = []
        self.counted: list[Host] = []  # whose health says something
        self.whole = whole or self
        for host in hosts:
            if host.healthy:
                (self.degraded if host.degraded else self.healthy).append(host)
            if not host.excluded:
                self.counted.append(host)

    def only(self, members: Collection[Host]) -> Level:
        """The part of this level that `members` are, in the level's order."""
        return Level([host for host in self.hosts if host in members], self.whole)

    def places(self, own: Place | None = None) -> list[Place]:
        """The places of the whole level in order, the `own` one first if it is among them."""
        return sorted({host.place for host in self.whole.hosts}, key=lambda place: (place != own, place))


def by_place(hosts: Sequence[Host]) -> Mapping[Place, list[Host]]:
    found: dict[Place, list[Host]] = {}
    for host in hosts:
        found.setdefault(host.place, []).append(host)
    return found


@dataclass(frozen=True, slots=True)
class Local:
    """The proxies of this kind (cluster_manager.local_cluster_name), and where this one is."""

    place: Place
    level: Level


@dataclass(frozen=True, slots=True)
class Rules:
    """All that hosts are picked by, but for the hosts themselves."""

    config: Balancing
    stats: ClusterStats
    rng: random.Random
    clock: Callable[[], float]
    overprovisioning: int = 140
    weighted_health: bool = False
    local: Local | None = None
    scale_weights: bool = False  # of localities, by the share of their hosts that is in the subset
    left_out: frozenset[int] = frozenset()  # priorities that a retry does not want


class Loads(NamedTuple):
    """Percent of the traffic for each level's healthy and for its degraded hosts, and which levels use all of theirs."""

    healthy: list[int]
    degraded: list[int]
    panic: list[bool]


def loads(levels: Sequence[Level], rules: Rules) -> Loads:
    healthy = [_availability(level, level.healthy, rules) for level in levels]
    degraded = [_availability(level, level.degraded, rules) for level in levels]
    total = min(100, sum(healthy) + sum(degraded))
    threshold = rules.config.panic_threshold
    if threshold == 0 and total == 0:  # nobody to be had: it does not matter from where
        return Loads([100] + [0] * (len(levels) - 1), [0] * len(levels), [False] * len(levels))
    panic = [total < 100 and in_panic(level, threshold) for level in levels]
    if rules.left_out:
        return Loads(*spread(*(_kept(each, rules.left_out) for each in (healthy, degraded))), panic)
    if all(panic):
        return Loads(_by_number(levels), [0] * len(levels), panic)
    return Loads(*spread(healthy, degraded), panic)


def _kept(available: Sequence[int], left_out: frozenset[int]) -> list[int]:
    return [0 if priority in left_out else percent for priority, percent in enumerate(available)]


def usable(levels: Sequence[Level], rules: Rules) -> bool:
    """Whether there is anybody to be had at the priorities that are not left out."""
    return any(
        _availability(level, [*level.healthy, *level.degraded], rules)
        for priority, level in enumerate(levels)
        if priority not in rules.left_out
    )


def in_panic(level: Level, threshold: float) -> bool:
    """Whether too few of its hosts can be used."""
    counted = len(level.counted)
    usable = 100.0 * (len(level.healthy) + len(level.degraded)) / counted if counted else 0.0
    return usable < round(threshold)


def _availability(level: Level, hosts: Sequence[Host], rules: Rules) -> int:
    """Percent of its full load that a level can take by these hosts, at most 100."""
    if not level.counted:
        return 0
    if rules.weighted_health:
        part, whole = sum(host.weight for host in hosts), sum(host.weight for host in level.counted)
    else:
        part, whole = len(hosts), len(level.counted)
    return min(100, rules.overprovisioning * part // whole)


def spread(healthy: Sequence[int], degraded: Sequence[int]) -> tuple[list[int], list[int]]:
    """Percent of the traffic: in order, each as much as its availability allows, scaled up when all of them together are
    below 100."""
    total = min(100, sum(healthy) + sum(degraded))
    if total == 0:
        return [0] * len(healthy), [0] * len(degraded)
    left, shares = 100, []
    for available in (*healthy, *degraded):
        share = min(left, available * 100 // total)
        shares.append(share)
        left -= share
    if left:  # rounding: Envoy gives the rest to the first that can take any
        shares[next(index for index, available in enumerate((*healthy, *degraded)) if available)] += left
    return shares[: len(healthy)], shares[len(healthy) :]


def _by_number(levels: Sequence[Level]) -> list[int]:
    """Everybody panics: each level by its number of hosts, whatever their health."""
    total = sum(len(level.hosts) for level in levels)
    if not total:
        return [100] + [0] * (len(levels) - 1)
    shares = [100 * len(level.hosts) // total for level in levels]
    shares[next(index for index, level in enumerate(levels) if level.hosts)] += 100 - sum(shares)
    return shares
