"""Priorities and panic: which hosts may be picked at all (Envoy's load_balancers/priority and panic_threshold)."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from sidecar.balancer.hashing import Table, table
from sidecar.balancer.levels import Level, Rules, loads
from sidecar.balancer.localities import by_weight, by_zone
from sidecar.balancer.pickers import Picker, make, nobody, shared
from sidecar.config.model import HASHING
from sidecar.telemetry.cells import Counter
from sidecar.upstream.host import Host


def build(levels: Sequence[Level], rules: Rules) -> Picker:
    """The picker over `levels`, the hosts by priority, 0 first."""
    hashes = rules.config.policy in HASHING
    given = loads(levels, rules)
    used: list[tuple[Picker, float]] = []
    for shares, degraded in ((given.healthy, False), (given.degraded, True)):
        for number, share in enumerate(shares):
            if share:
                of = _hashed if hashes else _plain
                used.append((of(levels, number, given.panic[number], degraded, rules), share))
    if not used:  # all that there is was left out
        return nobody
    return _by_key_shared(used, rules.rng) if hashes else shared(used, rules.rng)


def _plain(levels: Sequence[Level], number: int, panic: bool, degraded: bool, rules: Rules) -> Picker:
    level, config = levels[number], rules.config

    def of(hosts: Sequence[Host]) -> Picker:
        return make(config, hosts, rules.rng, rules.clock)

    if panic:
        everybody = nobody if config.zone_aware.fail_on_panic else of(level.hosts)
        return _counted(everybody, rules.stats.lb_healthy_panic)
    usable = level.degraded if degraded else level.healthy
    if config.locality_weighted and (weighted := by_weight(level, usable, rules, of)) is not None:
        return weighted
    plain = of(usable)
    zoned = by_zone(level, usable, rules, plain, of) if number == 0 else None
    return zoned or plain


# ── by key ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _hashed(levels: Sequence[Level], number: int, panic: bool, degraded: bool, rules: Rules) -> Picker:
    """A level's table holds its healthy hosts, also for keys that its degraded ones should have had, as in Envoy."""
    level, config = levels[number], rules.config
    hosts = level.hosts if panic else level.healthy
    pick = _by_key(lambda: table(config, hosts, rules.stats), rules.rng)
    return _counted(pick, rules.stats.lb_healthy_panic) if panic else pick


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
    if len(used) == 1:
        return used[0][0]
    pickers, limits = [picker for picker, _ in used], list(accumulate(share for _, share in used))
    draw = rng.getrandbits

    def pick(wanted_for: Any) -> Host | None:
        key = wanted_for.hash_key
        at = (draw(64) if key is None else key) % 100
        return pickers[min(bisect_right(limits, at), len(pickers) - 1)](wanted_for)

    return pick


def _counted(picker: Picker, counter: Counter) -> Picker:
    def pick(wanted_for: Any) -> Host | None:
        counter.value += 1
        return picker(wanted_for)

    return pick
