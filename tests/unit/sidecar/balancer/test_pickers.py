"""The balancing algorithms, priorities and panic."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.balancer.pickers import make
from sidecar.balancer.priorities import build, loads
from sidecar.config.model import Address, Endpoint, Health, LbPolicy, LocalityEndpoints
from sidecar.upstream.host import Host


def hosts(*weights: int, health: Health = Health.HEALTHY) -> list[Host]:
    return [
        Host(Endpoint(Address("127.0.0.1", port), weight=weight, health=health), LocalityEndpoints(()))
        for port, weight in enumerate(weights)
    ]


def shares(policy: LbPolicy, pool: list[Host], picks: int = 4000) -> Counter[int]:
    pick = make(policy, 2, pool, random.Random(7))
    counted: Counter[int] = Counter()
    for _ in range(picks):
        host = pick(None)
        assert host is not None
        counted[host.address.port] += 1
    return counted


def test_nobody_to_pick() -> None:
    assert make(LbPolicy.RANDOM, 2, [], random.Random())(None) is None


def test_round_robin_takes_turns() -> None:
    assert set(shares(LbPolicy.ROUND_ROBIN, hosts(1, 1, 1, 1)).values()) == {1000}


@pytest.mark.parametrize("policy", [LbPolicy.ROUND_ROBIN, LbPolicy.RANDOM, LbPolicy.LEAST_REQUEST])
def test_weights_count(policy: LbPolicy) -> None:
    counted = shares(policy, hosts(3, 1))
    assert counted[0] / counted[1] == pytest.approx(3, rel=0.2)


def test_least_request_avoids_the_busy() -> None:
    pool = hosts(1, 1)
    pool[0].active = 10
    counted = shares(LbPolicy.LEAST_REQUEST, pool)
    assert counted[0] == pytest.approx(1000, rel=0.2)  # both choices fell on it


def picker(levels: list[list[Host]], panic: float = 50.0):
    seen: list[bool] = []
    pick = build(
        levels,
        policy=LbPolicy.ROUND_ROBIN,
        choice_count=2,
        overprovisioning=140,
        panic_threshold=panic,
        rng=random.Random(3),
        on_panic=lambda: seen.append(True),
    )
    return pick, seen


def test_unhealthy_hosts_are_not_picked() -> None:
    good, bad = hosts(1, 1, 1), hosts(1, health=Health.UNHEALTHY)
    pick, _ = picker([[*good, *bad]])
    assert all(pick(None) in good for _ in range(20))


def test_panic_uses_everybody_and_is_counted() -> None:
    bad = hosts(1, 1, health=Health.UNHEALTHY)
    pick, panics = picker([bad])
    assert pick(None) in bad
    assert panics


def test_without_panic_nobody_is_left() -> None:
    pick, _ = picker([hosts(1, health=Health.UNHEALTHY)], panic=0.0)
    assert pick(None) is None


def test_the_next_priority_takes_over() -> None:
    second = hosts(1)
    pick, _ = picker([hosts(1, health=Health.UNHEALTHY), second], panic=0.0)
    assert pick(None) in second


def test_localities_share_by_weight() -> None:
    near, far = (LocalityEndpoints((), region=name, weight=weight) for name, weight in (("near", 3), ("far", 1)))
    level = [Host(Endpoint(Address("127.0.0.1", port)), where) for port, where in enumerate((near, far))]
    pick = build(
        [level],
        policy=LbPolicy.ROUND_ROBIN,
        choice_count=2,
        overprovisioning=140,
        panic_threshold=50.0,
        rng=random.Random(5),
        on_panic=lambda: None,
        locality_weighted=True,
    )
    counted = Counter(host.address.port for host in (pick(None) for _ in range(4000)) if host is not None)
    assert counted[0] / counted[1] == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(
    ("healths", "expected"),
    [([100, 100], [100, 0]), ([70, 100], [70, 30]), ([0, 100], [0, 100]), ([35, 35], [50, 50]), ([0, 0], [0, 0])],
)
def test_loads(healths: list[int], expected: list[int]) -> None:
    assert loads(healths) == expected


@given(st.lists(st.integers(min_value=0, max_value=100), min_size=1, max_size=6))
def test_loads_add_up(healths: list[int]) -> None:
    assert sum(loads(healths)) == (100 if sum(healths) else 0)
