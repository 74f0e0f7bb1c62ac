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

from xxhash import xxh64_intdigest

from sidecar.config.model import Hashing, LbPolicy
from sidecar.upstream.host import Host

# Which host a key belongs to. The number counts how often another one was wanted for the same request.
Table = Callable[[int, int], Host]
Share = tuple[Host, float]

_MASK = 2**64 - 1


def table(policy: LbPolicy, config: Hashing, hosts: Sequence[Host], *, by_locality: bool = False) -> Table | None:
    """The table of RING_HASH or MAGLEV over `hosts`; None where there is nobody. With `by_locality` the localities' weights
    share the table, and those of weight 0 have no part of it."""
    shares = list(_by_locality(hosts) if by_locality else _shares(hosts, 1.0))
    if not shares:
        return None
    return _ring(shares, config) if policy is LbPolicy.RING_HASH else _maglev(shares, config)


def _shares(hosts: Sequence[Host], part: float) -> Iterator[Share]:
    total = sum(host.weight for host in hosts)
    for host in hosts:
        yield host, host.weight * part / total


def _by_locality(hosts: Sequence[Host]) -> Iterator[Share]:
    localities: dict[tuple[str, str, str], list[Host]] = {}
    for host in hosts:
        where = host.locality
        localities.setdefault((where.region, where.zone, where.sub_zone), []).append(host)
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
