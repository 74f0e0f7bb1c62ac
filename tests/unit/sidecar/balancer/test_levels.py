"""How much of the traffic each priority gets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.balancer.levels import Level, Loads, loads, spread, usable
from sidecar.config.model import Balancing, Health
from sidecar.upstream.host import Host
from tests.unit.sidecar.balancer.build import host, levels, rules

LETTERS = {"h": Health.HEALTHY, "d": Health.DEGRADED, "u": Health.UNHEALTHY, "x": Health.DRAINING}


def level(letters: str) -> list[Host]:
    return [host(port, health=LETTERS[letter]) for port, letter in enumerate(letters)]


@pytest.mark.parametrize(
    ("healthy", "degraded", "expected"),
    [
        ([100, 100], [0, 0], ([100, 0], [0, 0])),
        ([70, 100], [0, 0], ([70, 30], [0, 0])),
        ([0, 100], [0, 0], ([0, 100], [0, 0])),
        ([35, 35], [0, 0], ([50, 50], [0, 0])),
        ([0, 0], [0, 0], ([0, 0], [0, 0])),
        ([70], [70], ([70], [30])),
        ([10, 20, 10], [20, 10, 0], ([16, 28, 14], [28, 14, 0])),  # Envoy's own example
        ([0, 0], [33, 33], ([0, 0], [50, 50])),
    ],
)
def test_spread(healthy: list[int], degraded: list[int], expected: tuple[list[int], list[int]]) -> None:
    assert spread(healthy, degraded) == expected


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=6))
def test_what_is_spread_adds_up(available: list[tuple[int, int]]) -> None:
    healthy, degraded = (list(each) for each in zip(*available, strict=True))
    assert sum(map(sum, spread(healthy, degraded))) == (100 if sum(healthy) + sum(degraded) else 0)


@pytest.mark.parametrize(
    ("given_levels", "expected"),
    [
        (["hhhh"], Loads([100], [0], [False])),
        (["hu"], Loads([100], [0], [False])),  # 70 of 70 to be had
        (["huu"], Loads([100], [0], [True])),
        (["hxx"], Loads([100], [0], [False])),  # who drains does not count
        (["xx", "h"], Loads([0, 100], [0, 0], [False, False])),
        (["dd"], Loads([0], [100], [False])),
        (["hd"], Loads([70], [30], [False])),
        (["huu", "hh"], Loads([46, 54], [0, 0], [False, False])),  # together they can take all of it
        (["huu", "huu"], Loads([50, 50], [0, 0], [True, True])),
        (["huuuu", "uuu"], Loads([63, 37], [0, 0], [True, True])),  # by their numbers of hosts
        (["hu", "uuuu"], Loads([100, 0], [0, 0], [False, True])),
        (["", "uu"], Loads([0, 100], [0, 0], [True, True])),
        ([""], Loads([100], [0], [True])),
    ],
)
def test_loads(given_levels: list[str], expected: Loads) -> None:
    assert loads(levels(*map(level, given_levels)), rules()) == expected


def test_without_panic_the_first_level_has_it_all() -> None:
    assert loads(levels(level("u"), level("u")), rules(Balancing(panic_threshold=0.0))) == (
        [100, 0],
        [0, 0],
        [False, False],
    )


def test_priorities_that_are_left_out() -> None:
    three = levels(level("hh"), level("hu"), level("h"))
    assert loads(three, rules(left_out=frozenset([0]))).healthy == [0, 70, 30]
    assert loads(three, rules(left_out=frozenset([0, 2]))).healthy == [0, 100, 0]
    assert usable(three, rules(left_out=frozenset([0, 1])))
    assert not usable(three, rules(left_out=frozenset([0, 1, 2])))
    assert usable(levels(level("h"), level("d")), rules(left_out=frozenset([0])))


def test_health_by_weight() -> None:
    heavy = [host(1, 90), host(2, 10, health=Health.UNHEALTHY), host(3, 10, health=Health.UNHEALTHY)]
    other = [host(4)]
    assert loads(levels(heavy, other), rules()).healthy == [46, 54]
    assert loads(levels(heavy, other), rules(weighted_health=True)).healthy == [100, 0]


def test_excluded_hosts_do_not_count() -> None:
    members = level("huu")
    members[1].pending_active_hc = members[2].excluded_by_hc = True
    assert loads(levels(members), rules()) == ([100], [0], [False])


def test_a_subset_knows_the_places_of_the_whole() -> None:
    members = [host(1, zone="b"), host(2, zone="a"), host(3, zone="c")]
    part = Level(members).only({members[0]})
    assert part.hosts == [members[0]]
    assert [zone for _, zone, _ in part.places()] == ["a", "b", "c"]
    assert [zone for _, zone, _ in part.places(("", "c", ""))] == ["c", "a", "b"]
