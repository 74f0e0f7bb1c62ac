"""RING_HASH's and MAGLEV's tables. That they are Envoy's is what tests/oracle/topics/hashing.py finds out."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.balancer.hashing import Table, _shuffled, _twister, table
from sidecar.balancer.priorities import build
from sidecar.config.model import Address, Balancing, Endpoint, Hashing, Health, LbPolicy, LocalityEndpoints
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.upstream.host import Host
from tests.unit.sidecar.balancer.build import levels, rules

RING, MAGLEV = LbPolicy.RING_HASH, LbPolicy.MAGLEV
BOTH = pytest.mark.parametrize("policy", [RING, MAGLEV])
SMALL = Hashing(min_ring_size=12, table_size=7)
RNG = random.Random(1)
STATS = ClusterStats(Stats(), "c")
KEYS = [RNG.getrandbits(64) for _ in range(2000)]


def host(
    port: int, weight: int = 1, *, healthy: bool = True, where: LocalityEndpoints | None = None, **more: Any
) -> Host:
    health = Health.HEALTHY if healthy else Health.UNHEALTHY
    endpoint = Endpoint(Address("127.0.0.1", port), weight=weight, health=health, **more)
    return Host(endpoint, where or LocalityEndpoints(()))


def made(policy: LbPolicy, hosts: list[Host], config: Hashing = SMALL, *, by_locality: bool = False) -> Table:
    found = table(Balancing(policy, hashing=config, locality_weighted=by_locality), hosts, STATS)
    assert found is not None
    return found


def ports(find: Table, keys: list[int] = KEYS) -> list[int]:
    return [find(key, 0).address.port for key in keys]


def test_the_places_of_envoys_own_test_of_its_ring() -> None:
    find = made(RING, [host(port) for port in range(90, 96)])
    places = [
        (0, 94),
        (833437586790550860, 94),
        (833437586790550861, 92),
        (928266305478181108, 92),
        (3551244743356806947, 95),
        (5583722120771150861, 91),
        (5583722120771150862, 91),
        (13444792449719432967, 92),
        (2**64 - 1, 94),
    ]
    assert [(key, find(key, 0).address.port) for key, _ in places] == places


def test_another_host_of_the_ring_is_the_one_of_the_next_place() -> None:
    find = made(RING, [host(port) for port in range(90, 96)])
    assert [find(0, again).address.port for again in range(3)] == [94, 92, 90]


def test_another_host_of_maglev_is_wherever_the_inverted_key_leads() -> None:
    find = made(MAGLEV, [host(port) for port in range(90, 96)], Hashing())
    assert find(5, 1) is find(5 ^ (2**64 - 1), 0)
    assert find(5, 2) is find(5 ^ (2**64 - 2), 0)


@BOTH
def test_nobody(policy: LbPolicy) -> None:
    assert table(Balancing(policy), [], STATS) is None


def test_nobody_is_on_a_ring_without_places() -> None:
    assert table(Balancing(RING, hashing=Hashing(min_ring_size=0)), [host(90)], STATS) is None


@BOTH
def test_a_lost_host_moves_few_keys_of_the_others(policy: LbPolicy) -> None:
    everybody = [host(port) for port in range(90, 100)]
    before, after = (ports(made(policy, hosts, Hashing())) for hosts in (everybody, everybody[1:]))
    moved = sum(1 for old, new in zip(before, after, strict=True) if old not in (90, new))
    assert moved < len(KEYS) * 0.1  # a few: the others have a place more on the ring now
    assert 90 in before
    assert 90 not in after


@BOTH
def test_the_order_of_hosts_does_not_matter(policy: LbPolicy) -> None:
    hosts = [host(port) for port in range(90, 96)]
    assert ports(made(policy, hosts)) == ports(made(policy, hosts[::-1]))


@BOTH
def test_weights_share_the_table(policy: LbPolicy) -> None:
    find = made(policy, [host(90, 1), host(91, 3)], Hashing(min_ring_size=4000))
    counted = Counter(ports(find))
    assert counted[91] / counted[90] == pytest.approx(3, rel=0.2)


@BOTH
def test_hosts_are_placed_by_their_key_or_name_when_they_have_one(policy: LbPolicy) -> None:
    def keyed(first: int) -> list[Host]:
        return [host(first + n, metadata={"envoy.lb": {"hash_key": f"k{n}"}}, hostname=f"h{n}") for n in range(5)]

    for config in (Hashing(), Hashing(by_hostname=True)):
        here, there = (ports(made(policy, keyed(first), config)) for first in (100, 200))
        assert [port + 100 for port in here] == there
    assert ports(made(policy, keyed(100))) != ports(made(policy, keyed(100), Hashing(by_hostname=True)))


@BOTH
def test_localities_share_the_table_by_their_weights(policy: LbPolicy) -> None:
    near, far, off = (
        LocalityEndpoints((), zone=zone, weight=weight) for zone, weight in (("a", 9), ("b", 1), ("c", 0))
    )
    hosts = [host(90, where=near), host(91, where=far), host(92, where=far), host(93, where=off)]
    counted = Counter(ports(made(policy, hosts, Hashing(min_ring_size=4000), by_locality=True)))
    assert counted[90] / len(KEYS) == pytest.approx(0.9, abs=0.05)
    assert 93 not in counted


@given(
    st.lists(st.integers(1, 128), min_size=1, max_size=12),
    st.sampled_from([Hashing(1, 8, 7), Hashing(12, 100, 101), Hashing(1, 1, 2)]),
    st.sampled_from([RING, MAGLEV]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 5),
)
def test_every_key_has_a_host(weights: list[int], config: Hashing, policy: LbPolicy, key: int, again: int) -> None:
    hosts = [host(port, weight) for port, weight in enumerate(weights)]
    assert made(policy, hosts, config)(key, again) in hosts


# ── bounded load ──────────────────────────────────────────────────────────────────────────────────────────────────────


@BOTH
def test_a_busy_host_is_helped_out(policy: LbPolicy) -> None:
    """In the order that Envoy's own twister shuffles the key's hosts to."""
    hosts, stats = [host(port) for port in range(90, 95)], ClusterStats(Stats(), "c")
    free = made(policy, hosts, Hashing())
    find = table(Balancing(policy, hashing=Hashing(balance_factor=150)), hosts, stats)
    assert find is not None
    assert ports(find) == ports(free)
    own = free(7, 0)
    own.active, stats.upstream_rq_active.value = 3, 3  # 1.5 times its share are 2
    helpers = {find(7, 0) for _ in range(5)}
    assert len(helpers) == 1
    assert own not in helpers
    for each in hosts:
        each.active = 9
    own.active = 8
    assert find(7, 0) is own  # all have too much, it has the least


def test_weights_count_for_who_is_busy() -> None:
    hosts, stats = [host(90, 9), host(91, 1)], ClusterStats(Stats(), "c")
    find = table(Balancing(RING, hashing=Hashing(balance_factor=100)), hosts, stats)
    assert find is not None
    stats.upstream_rq_active.value = 9
    hosts[0].active = 9
    assert Counter(ports(find))[90] > len(KEYS) * 0.8
    hosts[0].active = 10
    assert set(ports(find)) == {91}


def test_the_shuffle_is_envoys() -> None:
    """std::mt19937 with its default seed, whose 10,000th number the C++ standard names."""
    twister = _twister(5489)
    for _ in range(9999):
        twister.getrandbits(32)
    assert twister.getrandbits(32) == 4123659995


@given(st.integers(0, 2**64 - 1), st.integers(1, 20))
def test_a_shuffle_has_everybody(key: int, count: int) -> None:
    hosts = [host(port) for port in range(count)]
    assert sorted(each.address.port for each in _shuffled(hosts, key)) == list(range(count))


# ── with priorities and health ────────────────────────────────────────────────────────────────────────────────────────


def picker(*members: list[Host], panic: float = 50.0) -> tuple[Any, ClusterStats]:
    by = rules(Balancing(RING, panic_threshold=panic, hashing=SMALL), seed=1)
    return build(levels(*members), by), by.stats


def wanted(key: int | None) -> Any:
    return SimpleNamespace(hash_key=key, repicks=0)


def test_without_a_key_any_host_is_picked() -> None:
    pick, _ = picker([host(port) for port in range(90, 96)])
    assert {pick(wanted(None)).address.port for _ in range(200)} == set(range(90, 96))
    assert len({pick(wanted(77)) for _ in range(20)}) == 1


def test_unhealthy_hosts_are_not_in_the_table_unless_in_panic() -> None:
    bad = [host(90), host(91), host(92, healthy=False)]
    pick, counted = picker(bad)
    assert {pick(wanted(key)).address.port for key in KEYS} == {90, 91}
    assert not counted.lb_healthy_panic.value
    pick, counted = picker(bad, panic=70.0)
    assert {pick(wanted(key)).address.port for key in KEYS} == {90, 91, 92}
    assert counted.lb_healthy_panic.value == len(KEYS)
    pick, _ = picker([host(90, healthy=False)], panic=0.0)
    assert pick(wanted(1)) is None


def test_a_key_keeps_to_its_level() -> None:
    levels = [[host(90), host(91, healthy=False)], [host(92)]]  # 70 % and 30 %
    pick, _ = picker(*levels)
    assert {pick(wanted(key)).address.port for key in range(0, 70)} == {90}
    assert {pick(wanted(key)).address.port for key in range(70, 100)} == {92}
    assert {pick(wanted(None)).address.port for _ in range(100)} == {90, 92}
