"""Within one priority: localities that share its traffic by their weights, or by where this proxy is (zone-aware)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final

from sidecar.balancer.levels import Level, Place, Rules, by_place, in_panic
from sidecar.balancer.pickers import Picker, earliest_deadline, nobody
from sidecar.upstream.host import Host

# The picker over some of a level's hosts.
Make = Callable[[Sequence[Host]], Picker]


# ── by weight ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def by_weight(level: Level, usable: Sequence[Host], rules: Rules, of: Make) -> Picker | None:
    """Localities take turns by their weights, each lowered as far as its usable hosts fall below what overprovisioning
    covers. None where no weight is left: then localities do not count."""
    counted, members = by_place(level.counted), by_place(usable)
    pickers, weights = [], {}
    for place in level.places():
        hosts = members.get(place)
        if not hosts:
            continue
        covered = min(1.0, rules.overprovisioning / 100 * len(hosts) / len(counted.get(place, hosts)))
        if weight := weight_of(level, place, rules) * covered:
            weights[hosts[0]] = weight  # its first host stands for a locality
            pickers.append((hosts[0], of(hosts)))
    if not pickers:
        return None
    if len(pickers) == 1:
        return pickers[0][1]
    turns, inner = earliest_deadline(list(weights), weights.__getitem__, rules.rng), dict(pickers)

    def pick(wanted_for: Any) -> Host | None:
        first = turns(wanted_for)
        return inner[first](wanted_for) if first is not None else None

    return pick


def weight_of(level: Level, place: Place, rules: Rules) -> int:
    """A locality's weight; that of a subset is scaled by its share of the locality's hosts, where that is asked for."""
    whole = by_place(level.whole.hosts)[place]
    weight = whole[0].locality.weight
    if not rules.scale_weights:
        return weight
    return round(weight * len(by_place(level.hosts).get(place, ())) / len(whole))


# ── by zone ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_PARTS: Final = 10_000  # of which percentages are computed


def by_zone(level: Level, usable: Sequence[Host], rules: Rules, plain: Picker, of: Make) -> Picker | None:
    """Picks that stay in this proxy's zone as far as its hosts can serve what the proxies of the zone send; the rest goes
    where there is room. None where zones cannot be told or do not matter."""
    local, config, stats = rules.local, rules.config.zone_aware, rules.stats
    if local is None:
        return None
    stats.lb_recalculate_zone_structures.value += 1
    places = level.places(local.place)
    if len(places) < 2 or (len(local.level.places()) < 2 and config.force_local is None):
        return None
    if local.place not in local.level.places():
        stats.lb_local_cluster_not_ok.value += 1
        return None
    if len(level.healthy) < config.min_cluster_size:
        stats.lb_zone_cluster_too_small.value += 1
        return None
    members = by_place(usable)
    pickers = [of(members.get(place, ())) for place in places]
    zoned = _zoned(level, places, rules, pickers)
    if in_panic(local.level, rules.config.panic_threshold):
        zoned = _not_ok(rules, nobody if config.fail_on_panic else plain)
    return _sometimes(zoned, plain, rules) if config.enabled < 100 else zoned


def _zoned(level: Level, places: Sequence[Place], rules: Rules, pickers: Sequence[Picker]) -> Picker:
    local, stats = rules.local, rules.stats
    assert local is not None  # noqa: S101  # by_zone has asked
    config = rules.config.zone_aware
    theirs, ours = (_percentages(each, places, weighted=config.by_weight) for each in (level, local.level))
    ours = [own if there else 0 for own, there in zip(ours, theirs, strict=True)]
    at_home = places[0] == local.place
    neighbours = sum(1 for host in level.healthy if host.place == local.place)
    if at_home and (
        theirs[0] >= max(ours[0], 1) or (config.force_local is not None and neighbours >= config.force_local)
    ):

        def directly(wanted_for: Any) -> Host | None:
            stats.lb_zone_routing_all_directly.value += 1
            return pickers[0](wanted_for)

        return directly
    direct = theirs[0] * _PARTS // ours[0] if at_home and ours[0] else 0
    room = [max(0, there - own) for there, own in zip(theirs, ours, strict=True)]
    if at_home:
        room[0] = 0
    limits, draw, count = list(accumulate(room)), rules.rng.random, len(pickers)

    def pick(wanted_for: Any) -> Host | None:
        if int(draw() * _PARTS) < direct:
            stats.lb_zone_routing_sampled.value += 1
            return pickers[0](wanted_for)
        stats.lb_zone_routing_cross_zone.value += 1
        if not limits[-1]:  # rounding left no room anywhere
            stats.lb_zone_no_capacity_left.value += 1
            return pickers[int(draw() * count)](wanted_for)
        return pickers[bisect_right(limits, int(draw() * limits[-1]))](wanted_for)

    return pick


def _percentages(level: Level, places: Sequence[Place], *, weighted: bool) -> list[int]:
    """How much of a level's healthy hosts, or of their weight, each place has."""
    amounts: dict[Place, int] = {}
    for host in level.healthy:
        amounts[host.place] = amounts.get(host.place, 0) + (host.weight if weighted else 1)
    total = sum(amounts.values())
    return [_PARTS * amounts.get(place, 0) // total if total else 0 for place in places]


def _not_ok(rules: Rules, instead: Picker) -> Picker:
    """The other proxies of this kind are not well: what they would do cannot be reckoned with."""

    def pick(wanted_for: Any) -> Host | None:
        rules.stats.lb_local_cluster_not_ok.value += 1
        return instead(wanted_for)

    return pick


def _sometimes(zoned: Picker, plain: Picker, rules: Rules) -> Picker:
    enabled, draw = rules.config.zone_aware.enabled, rules.rng.random
    return lambda wanted_for: (zoned if int(draw() * 100) < enabled else plain)(wanted_for)
