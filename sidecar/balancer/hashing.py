"""RING_HASH and MAGLEV: tables from a key to a host, bit for bit those of Envoy, so that both send a key to one host.

A host's place comes from xxHash64 of its address and port (or of its `hash_key` metadata, or its name). Shares are the
hosts' weights normalised to a sum of 1.

Tables are made in Python: 10,000 hosts of one weight take 35 ms on a ring and 70 ms in Maglev's default table, a ring of a
million places 1.5 s, the largest tables that Envoy allows 10 to 20 s, in which nothing else happens.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from random import Random
from typing import TYPE_CHECKING

from xxhash import xxh64_intdigest

from sidecar.config.model import Balancing, Hashing, LbPolicy
from sidecar.upstream.host import Host

if TYPE_CHECKING:
    from sidecar.telemetry.cells import Gauge
    from sidecar.telemetry.stats import ClusterStats

# Which host a key belongs to. The number counts how often another one was wanted for the same request.
Table = Callable[[int, int], Host]
Share = tuple[Host, float]

_MASK = 2**64 - 1


def table(config: Balancing, hosts: Sequence[Host], stats: ClusterStats) -> Table | None:
    """The table of RING_HASH or MAGLEV over `hosts`; None where there is nobody. Where localities are weighted their
    weights share the table, and those of weight 0 have no part of it. `stats` tell how much the cluster has to do."""
    shares = list(_by_locality(hosts) if config.locality_weighted else _shares(hosts, 1.0))
    if not shares:
        return None
    hashing = config.hashing
    find = _ring(shares, hashing) if config.policy is LbPolicy.RING_HASH else _maglev(shares, hashing)
    if find is None or not hashing.balance_factor:
        return find
    return _bounded(find, shares, hashing.balance_factor, stats.upstream_rq_active)


def _shares(hosts: Sequence[Host], part: float) -> Iterator[Share]:
    total = sum(host.weight for host in hosts)
    for host in hosts:
        yield host, host.weight * part / total


def _by_locality(hosts: Sequence[Host]) -> Iterator[Share]:
    localities: dict[tuple[str, str, str], list[Host]] = {}
    for host in hosts:
        localities.setdefault(host.place, []).append(host)
    total = sum(members[0].locality.weight for members in localities.values())
    for place in sorted(localities):
        members = localities[place]
        if weight := members[0].locality.weight:
            yield from _shares(members, weight / total)


def _name(host: Host, config: Hashing) -> bytes:
    """What a host's place is computed from."""
    if config.by_hostname:
        return host.endpoint.hostname.encode()
    own = host.endpoint.metadata.get("envoy.lb", {}).get("hash_key")
    return (own if isinstance(own, str) and own else host.name).encode()


def _ring(shares: Sequence[Share], config: Hashing) -> Table | None:
    """The host with the least share has a whole number of places on the ring, the others as many as their shares ask
    for; fractions are carried from one host to the next."""
    least = min(share for _, share in shares)
    scale = min(ceil(least * config.min_ring_size) / least, float(config.max_ring_size))
    owners: dict[int, int] = {}  # rather than pairs: the garbage collector has nothing to look at
    wanted, made = 0.0, 0
    for number, (host, share) in enumerate(shares):
        prefix = _name(host, config) + b"_"
        wanted += scale * share
        count = max(0, ceil(wanted - made))
        made += count
        for index in range(count):
            owners[xxh64_intdigest(prefix + b"%d" % index)] = number
    hashes = sorted(owners)
    hosts = [shares[owners[place]][0] for place in hashes]
    size = len(hashes)
    if not size:  # a ring of no places was asked for
        return None
    # After the last place comes the first: a ring.
    return lambda key, again: hosts[(bisect_left(hashes, key) % size + again) % size]


def _maglev(shares: Sequence[Share], config: Hashing) -> Table:
    """Hosts take turns at claiming the next free entry of their own permutation of the table; one with half the largest
    share sits out every second turn."""
    size = config.table_size
    named = sorted(((_name(host, config), host, share) for host, share in shares), key=lambda each: each[0])
    most = max(share for _, _, share in named)
    steps = [xxh64_intdigest(name, 1) % (size - 1) + 1 for name, _, _ in named]
    at = [xxh64_intdigest(name) % size for name, _, _ in named]
    due = [0.0] * len(named)
    entries: list[Host | None] = [None] * size
    for number in _turns([share for _, _, share in named], most, due, size):
        entry, step = at[number], steps[number]
        while entries[entry] is not None:
            entry = (entry + step) % size
        entries[entry] = named[number][1]
        at[number] = (entry + step) % size
    hosts = [host for host in entries if host is not None]  # all of them

    def find(key: int, again: int) -> Host:
        if again:
            key ^= -again & _MASK
        return hosts[key % size]

    return find


def _turns(shares: Sequence[float], most: float, due: list[float], size: int) -> Iterator[int]:
    """Whose turn it is, for each entry of the table."""
    left, turn = size, 0
    while True:
        turn += 1
        for number, share in enumerate(shares):
            if turn * share < due[number]:
                continue
            due[number] += most
            yield number
            left -= 1
            if not left:
                return


# ── bounded load (hash_balance_factor) ────────────────────────────────────────────────────────────────────────────────


def _bounded(find: Table, shares: Sequence[Share], factor: int, active: Gauge) -> Table:
    """Who has more than `factor` percent of its share of the requests in flight is helped out by another host: the first
    that has room in an order that the key shuffles, or else the one that has least too much."""
    weights = dict(shares)
    hosts = [host for host, _ in shares]

    def load(host: Host) -> float:
        slots = ((active.value + 1) * factor + 99) // 100
        return host.active / max(ceil(slots * weights[host]), 1)

    def bounded(key: int, again: int) -> Host:
        found = find(key, again)
        least = load(found)
        if least <= 1.0:
            return found
        best = found
        for host in _shuffled(hosts, key):
            if host is not found:
                much = load(host)
                if much <= 1.0:
                    return host
                if much < least:
                    best, least = host, much
        return best

    return bounded


def _shuffled(hosts: Sequence[Host], key: int) -> Iterator[Host]:
    """Envoy's order: Fisher-Yates with a Mersenne Twister that the key's lower half seeds."""
    draw, order = _twister(key & 0xFFFFFFFF).getrandbits, list(hosts)
    for at in range(len(order)):
        left = len(order) - at
        other = left
        while other >= left:
            other = draw(32) // (2**32 // left)
        order[at], order[at + other] = order[at + other], order[at]
        yield order[at]


def _twister(seed: int) -> Random:
    """MT19937 as it is seeded by one number; Python's own seeding is another."""
    state = [seed]
    for index in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + index) & 0xFFFFFFFF)
    twister = Random()  # it shuffles, it keeps no secrets
    twister.setstate((3, (*state, 624), None))
    return twister
