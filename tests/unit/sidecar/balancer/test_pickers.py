"""The balancing algorithms."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.balancer.pickers import make
from sidecar.config.model import Balancing, Health, LbPolicy, SlowStart
from sidecar.upstream.host import Host
from tests.unit.sidecar.balancer.build import hosts

ROBIN, LEAST, RANDOM = LbPolicy.ROUND_ROBIN, LbPolicy.LEAST_REQUEST, LbPolicy.RANDOM


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shares(config: Balancing, pool: list[Host], picks: int = 4000, clock: Clock | None = None) -> Counter[int]:
    pick = make(config, pool, random.Random(7), clock or Clock())
    counted: Counter[int] = Counter()
    for _ in range(picks):
        host = pick(None)
        assert host is not None
        counted[host.address.port] += 1
    return counted


def test_nobody_to_pick() -> None:
    assert make(Balancing(RANDOM), [], random.Random(), Clock())(None) is None


def test_round_robin_takes_turns() -> None:
    assert set(shares(Balancing(), hosts(1, 1, 1, 1)).values()) == {1000}


@pytest.mark.parametrize("policy", [ROBIN, LEAST])
def test_weights_count(policy: LbPolicy) -> None:
    counted = shares(Balancing(policy), hosts(3, 1))
    assert counted[0] / counted[1] == pytest.approx(3, rel=0.01)


def test_random_has_no_weights() -> None:
    counted = shares(Balancing(RANDOM), hosts(100, 1))
    assert counted[0] / counted[1] == pytest.approx(1, rel=0.1)


def test_a_weighted_round_begins_anywhere() -> None:
    firsts = {
        make(Balancing(), pool, random.Random(seed), Clock())(None) for pool in [hosts(1, 2, 3)] for seed in range(40)
    }
    assert len(firsts) > 1


def test_least_request_avoids_the_busy() -> None:
    pool = hosts(1, 1)
    pool[0].active = 10
    counted = shares(Balancing(LEAST), pool)
    assert counted[0] == pytest.approx(1000, rel=0.2)  # both choices fell on it


def test_a_full_scan_finds_the_least_busy() -> None:
    pool = hosts(1, 1, 1, 1)
    pool[0].active = pool[2].active = 1
    counted = shares(Balancing(LEAST, full_scan=True), pool)
    assert set(counted) == {1, 3}
    assert counted[1] / counted[3] == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(("bias", "ratio"), [(0.0, 2.0), (1.0, 8.0), (2.0, 32.0)])
def test_active_request_bias(bias: float, ratio: float) -> None:
    pool = hosts(2, 1)
    pool[1].active = 3
    counted = shares(Balancing(LEAST, bias=bias), pool, 3300)
    assert counted[0] / counted[1] == pytest.approx(ratio, rel=0.05)


# ── slow start ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("policy", [ROBIN, LEAST])
@pytest.mark.parametrize(
    ("age", "slow", "share"),
    [
        (0.0, SlowStart(60.0), 0.1),
        (30.0, SlowStart(60.0), 0.5),
        (15.0, SlowStart(60.0, aggression=2.0), 0.5),
        (30.0, SlowStart(60.0, aggression=0.5), 0.25),
        (30.0, SlowStart(60.0, least=0.8), 0.8),
        (60.0, SlowStart(60.0), 1.0),
    ],
)
def test_a_new_host_warms_up(policy: LbPolicy, age: float, slow: SlowStart, share: float) -> None:
    clock, pool = Clock(), hosts(1, 1)
    pool[0].healthy_since, pool[1].healthy_since = clock.now - 1000.0, clock.now - age
    counted = shares(Balancing(policy, slow_start=slow), pool, 3300, clock)
    assert counted[1] / counted[0] == pytest.approx(share, rel=0.02)


def test_warm_hosts_take_turns_as_if_there_were_no_slow_start() -> None:
    clock, pool, config = Clock(), hosts(1, 1), Balancing(slow_start=SlowStart(10.0))
    make(config, pool, random.Random(1), clock)
    assert [host.healthy_since for host in pool] == [clock.now, clock.now]
    clock.now += 10.5
    pick = make(config, pool, random.Random(1), clock)
    assert [pick(None) for _ in range(4)] in ([*pool, *pool], [*pool[::-1], *pool[::-1]])


def test_who_is_not_healthy_does_not_warm_up() -> None:
    pool = [*hosts(1, health=Health.UNHEALTHY), *hosts(1, health=Health.DEGRADED)]
    make(Balancing(slow_start=SlowStart(10.0)), pool, random.Random(1), Clock())
    assert [host.healthy_since for host in pool] == [None, None]


@given(
    st.lists(st.integers(1, 128), min_size=1, max_size=8),
    st.builds(
        Balancing,
        policy=st.sampled_from([ROBIN, LEAST, RANDOM]),
        choice_count=st.integers(2, 5),
        full_scan=st.booleans(),
        bias=st.floats(0, 3),
        slow_start=st.none() | st.builds(SlowStart, st.floats(0.1, 100), st.floats(0.1, 10), st.floats(0, 1)),
    ),
    st.integers(0, 1000),
)
def test_somebody_is_always_picked(weights: list[int], config: Balancing, seed: int) -> None:
    pool = hosts(*weights)
    pick = make(config, pool, random.Random(seed), Clock())
    assert all(pick(None) in pool for _ in range(20))
