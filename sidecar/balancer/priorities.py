"""Priorities and panic: which hosts may be picked at all (Envoy's load_balancers/priority and panic_threshold).

A priority level takes traffic in proportion to its health times the overprovisioning factor; what it cannot take spills
to the next. A level whose share of healthy hosts is below the panic threshold uses all its hosts, healthy or not.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from sidecar.balancer.hashing import Table, table
from sidecar.balancer.pickers import Picker, make, nobody
from sidecar.config.model import DEFAULT_HASHING, HASHING, Hashing, LbPolicy
from sidecar.upstream.host import Host


def build(
    levels: Sequence[Sequence[Host]],
    *,
    policy: LbPolicy,
    choice_count: int,
    overprovisioning: int,
    panic_threshold: float,
    rng: random.Random,
    on_panic: Callable[[], None],
    locality_weighted: bool = False,
    hashing: Hashing = DEFAULT_HASHING,
    left_out: frozenset[int] = frozenset(),
) -> Picker:
    """The picker of a cluster. `levels` are the hosts by priority, 0 first; `on_panic` is called for each pick made in
    panic (a counter). With `locality_weighted` a level's localities share its traffic by their weights, each lowered as
    far as its health falls below what overprovisioning covers. The levels `left_out` get nothing."""
    if not any(levels):
        return nobody
    hashes = policy in HASHING

    def picker_of(level: Sequence[Host]) -> Picker:
        healthy = [host for host in level if host.healthy]
        panic = bool(level) and 100.0 * len(healthy) / len(level) < panic_threshold
        if hashes:
            hosts = level if panic else healthy
            pick = _by_key(lambda: table(policy, hashing, hosts, by_locality=locality_weighted), rng)
            return _counted(pick, on_panic) if panic else pick
        if panic:
            return _counted(make(policy, choice_count, level, rng), on_panic)
        if locality_weighted:
            return _by_locality(level, overprovisioning, rng, lambda hosts: make(policy, choice_count, hosts, rng))
        return make(policy, choice_count, healthy, rng)

    if len(levels) == 1:
        return picker_of(levels[0])
    shares = loads([0 if at in left_out else health(level, overprovisioning) for at, level in enumerate(levels)])
    if sum(shares) == 0:  # nobody is healthy anywhere: the first level decides, in panic or with nobody
        return picker_of(next(level for level in levels if level))
    used = [(picker_of(level), share) for level, share in zip(levels, shares, strict=True) if share]
    return _by_key_shared(used, rng) if hashes else _shared(used, rng)


def _by_key(make_table: Callable[[], Table | None], rng: random.Random) -> Picker:
    """The host of a request's key, or any host when it has none. The table is made when it is first asked for: of
    several changes in a row only the last one costs it."""
    made: list[Table | None] = []
    draw = rng.getrandbits

    def pick(wanted_for: Any) -> Host | None:
        if not made:
            made.append(make_table())
        find = made[0]
        if find is None:
            return None
        key = wanted_for.hash_key
        return find(draw(64) if key is None else key, wanted_for.repicks)

    return pick


def _by_key_shared(used: Sequence[tuple[Picker, float]], rng: random.Random) -> Picker:
    """One of several levels, by its share of the keys."""
    pickers, limits = [picker for picker, _ in used], list(accumulate(share for _, share in used))
    draw = rng.getrandbits

    def pick(wanted_for: Any) -> Host | None:
        key = wanted_for.hash_key
        at = (draw(64) if key is None else key) % 100
        return pickers[min(bisect_right(limits, at), len(pickers) - 1)](wanted_for)

    return pick


def _shared(used: Sequence[tuple[Picker, float]], rng: random.Random) -> Picker:
    """One of several pickers, by its share."""
    if len(used) == 1:
        return used[0][0]
    pickers, limits = [picker for picker, _ in used], list(accumulate(share for _, share in used))
    draw, total = rng.random, limits[-1]

    def pick(wanted_for: Any) -> Host | None:
        return pickers[min(bisect_right(limits, draw() * total), len(pickers) - 1)](wanted_for)

    return pick


def _by_locality(
    level: Sequence[Host], overprovisioning: int, rng: random.Random, of: Callable[[Sequence[Host]], Picker]
) -> Picker:
    localities: dict[tuple[str, str, str], list[Host]] = {}
    for host in level:
        where = host.locality
        localities.setdefault((where.region, where.zone, where.sub_zone), []).append(host)
    used = []
    for hosts in localities.values():
        healthy = [host for host in hosts if host.healthy]
        share = hosts[0].locality.weight * min(1.0, overprovisioning / 100 * len(healthy) / len(hosts))
        if share:
            used.append((of(healthy), share))
    return _shared(used, rng) if used else nobody


def health(level: Sequence[Host], overprovisioning: int) -> int:
    """Percent of its full load that a level can take, at most 100."""
    if not level:
        return 0
    healthy = sum(1 for host in level if host.healthy)
    return min(100, overprovisioning * healthy // len(level))


def loads(healths: Sequence[int]) -> list[int]:
    """Percent of the traffic for each level: in order, each as much as its health allows, scaled up when all of them
    together are below 100."""
    total = min(100, sum(healths))
    if total == 0:
        return [0] * len(healths)
    left, shares = 100, []
    for health in healths:
        share = min(left, health * 100 // total)
        shares.append(share)
        left -= share
    if left:  # rounding: Envoy gives the rest to the first level that has any health
        shares[next(i for i, health in enumerate(healths) if health)] += left
    return shares


def _counted(picker: Picker, on_panic: Callable[[], None]) -> Picker:
    def pick(wanted_for: Any) -> Host | None:
        on_panic()
        return picker(wanted_for)

    return pick
