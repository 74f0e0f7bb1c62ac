"""The balancing algorithms over one list of usable hosts: random, round robin, least request, and Envoy's weighted forms."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from sidecar.config.model import Balancing, LbPolicy
from sidecar.upstream.host import Host

# Takes the request (or the TCP session) that a host is wanted for; returns None when there is no host.
Picker = Callable[[Any], Host | None]
Weight = Callable[[Host], float]


def make(config: Balancing, hosts: Sequence[Host], rng: random.Random, clock: Callable[[], float]) -> Picker:
    """The picker of `config` over `hosts`. Weights count where they differ, or while a host is warming up; RANDOM has
    none."""
    if not hosts:
        return nobody
    warming = config.slow_start is not None and _begin_slow_start(config, hosts, clock())
    if len(hosts) == 1:
        only = hosts[0]
        return lambda _for: only
    if config.policy is LbPolicy.RANDOM:
        return _random(hosts, rng)
    if warming or len({host.weight for host in hosts}) > 1:
        weight = _least_weight(config.bias) if config.policy is LbPolicy.LEAST_REQUEST else _own_weight
        return earliest_deadline(hosts, _warming(config, weight, clock) if warming else weight, rng)
    if config.policy is LbPolicy.LEAST_REQUEST:
        return _least_of_all(hosts, rng) if config.full_scan else _least(hosts, config.choice_count, rng)
    return _round_robin(hosts, rng)


def nobody(_for: Any) -> Host | None:
    return None


def shared(used: Sequence[tuple[Picker, float]], rng: random.Random) -> Picker:
    """One of several pickers, by its share."""
    if len(used) == 1:
        return used[0][0]
    pickers, limits = [picker for picker, _ in used], list(accumulate(share for _, share in used))
    draw, total = rng.random, limits[-1]

    def pick(wanted_for: Any) -> Host | None:
        return pickers[min(bisect_right(limits, draw() * total), len(pickers) - 1)](wanted_for)

    return pick


def _random(hosts: Sequence[Host], rng: random.Random) -> Picker:
    draw, count = rng.random, len(hosts)
    return lambda _for: hosts[int(draw() * count)]


def _round_robin(hosts: Sequence[Host], rng: random.Random) -> Picker:
    count = len(hosts)
    at = int(rng.random() * count)  # proxies must not all begin with the same host

    def pick(_for: Any) -> Host:
        nonlocal at
        at += 1
        if at >= count:
            at = 0
        return hosts[at]

    return pick


def _least(hosts: Sequence[Host], choice_count: int, rng: random.Random) -> Picker:
    """Power of two (or `choice_count`) choices: 0.15 µs, and herds less than looking at all."""
    draw, count = rng.random, len(hosts)

    def pick_of_two(_for: Any) -> Host:
        one, other = hosts[int(draw() * count)], hosts[int(draw() * count)]
        return other if other.active < one.active else one

    def pick_of_many(_for: Any) -> Host:
        best = hosts[int(draw() * count)]
        for _ in range(choice_count - 1):
            other = hosts[int(draw() * count)]
            if other.active < best.active:
                best = other
        return best

    return pick_of_two if choice_count == 2 else pick_of_many


def _least_of_all(hosts: Sequence[Host], rng: random.Random) -> Picker:
    """One of those that nobody has less to do than."""

    def pick(_for: Any) -> Host:
        least = min(host.active for host in hosts)
        return rng.choice([host for host in hosts if host.active == least])

    return pick


# ── weights ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def earliest_deadline(hosts: Sequence[Host], weight: Weight, rng: random.Random) -> Picker:
    """Envoy's EDF scheduler: each host is due again 1/weight after it was picked; ties go by order of entry. It begins
    somewhere on its way, as round robin does."""
    entry = len(hosts)
    queue = [(1.0 / weight(host), order, host) for order, host in enumerate(hosts)]
    heapq.heapify(queue)

    def pick(_for: Any) -> Host:
        nonlocal entry
        due, _, host = queue[0]
        heapq.heapreplace(queue, (due + 1.0 / weight(host), entry, host))
        entry += 1
        return host

    for _ in range(int(rng.random() * len(hosts))):
        pick(None)
    return pick


def _own_weight(host: Host) -> float:
    return host.weight


def _least_weight(bias: float) -> Weight:
    """The more a host has to do, the less it weighs; `bias` says how much less."""
    if bias == 1.0:
        return lambda host: host.weight / (host.active + 1)
    if bias == 0.0:
        return _own_weight
    return lambda host: host.weight / float((host.active + 1) ** bias)


# ── slow start ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _begin_slow_start(config: Balancing, hosts: Sequence[Host], now: float) -> bool:
    """Notes since when hosts have been healthy; whether one of them is still warming up."""
    assert config.slow_start is not None  # noqa: S101  # only then it is asked for
    warming = False
    for host in hosts:
        if host.healthy and not host.degraded:
            if host.healthy_since is None:
                host.healthy_since = now
            warming |= now - host.healthy_since <= config.slow_start.window
    return warming


def _warming(config: Balancing, weight: Weight, clock: Callable[[], float]) -> Weight:
    """`weight`, of which a host that has not been healthy for long has only a part."""
    slow = config.slow_start
    assert slow is not None  # noqa: S101  # a host is warming up

    def reduced(host: Host) -> float:
        since = host.healthy_since
        if since is None:
            return weight(host)
        age = clock() - since
        if age >= slow.window:
            return weight(host)
        grown = (max(age, 0.001) / slow.window) ** (1.0 / slow.aggression)
        return weight(host) * float(max(grown, slow.least))

    return reduced
