"""Localities that share a priority's traffic: by weight, or by where this proxy is."""

from __future__ import annotations

import pytest

from sidecar.balancer.levels import Level, Local
from sidecar.balancer.priorities import build
from sidecar.config.model import Balancing, Health, ZoneAware
from sidecar.upstream.host import Host
from tests.unit.sidecar.balancer.build import host, levels, ports, rules

WEIGHTED = Balancing(locality_weighted=True)
HOME = ("", "a", "")
ALWAYS = Balancing(zone_aware=ZoneAware(min_cluster_size=1))


def zones(letters: str, first: int = 1, **more: object) -> list[Host]:
    return [host(first + number, zone=letter, **more) for number, letter in enumerate(letters)]  # type: ignore[arg-type]


def local(letters: str, place: tuple[str, str, str] = HOME) -> Local:
    return Local(place, Level(zones(letters, 900)))


# ── by weight ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_localities_share_by_weight() -> None:
    level = [host(1, zone="near", zone_weight=3), host(2, zone="far", zone_weight=1)]
    assert ports(build(levels(level), rules(WEIGHTED)), 400) == {1: 300, 2: 100}


def test_a_locality_gives_up_what_overprovisioning_does_not_cover() -> None:
    bad = [host(port, zone="a", zone_weight=1, health=Health.UNHEALTHY) for port in (2, 3, 4)]
    level = [host(1, zone="a", zone_weight=1), *bad, *(host(port, zone="b", zone_weight=1) for port in (5, 6, 7, 8))]
    counted = ports(build(levels(level), rules(WEIGHTED)), 1350)
    assert counted[1] / (1350 - counted[1]) == pytest.approx(0.35, rel=0.02)


@pytest.mark.parametrize(("heavy", "picked"), [(0, {1, 2}), (1, {1})])
def test_a_locality_without_weight_gets_nothing_unless_none_has_any(heavy: int, picked: set[int]) -> None:
    level = [host(1, zone="a", zone_weight=heavy), host(2, zone="b", zone_weight=0)]
    assert set(ports(build(levels(level), rules(WEIGHTED)))) == picked


# ── by zone ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_stays_at_home_where_there_is_room() -> None:
    by = rules(ALWAYS, local=local("ab"))
    assert set(ports(build(levels(zones("aabb")), by), 50)) == {1, 2}
    assert by.stats.lb_zone_routing_all_directly.value == 50
    assert by.stats.lb_recalculate_zone_structures.value == 1


def test_what_there_is_no_room_for_crosses_zones() -> None:
    """Half of the proxies are here, a fourth of the hosts: half of the requests stay, the others go where there is room."""
    by = rules(ALWAYS, local=local("aabc"))
    counted = ports(build(levels(zones("abbc")), by), 4000)
    assert counted[1] / 4000 == pytest.approx(0.5, rel=0.1)
    assert counted[4] == 0  # as many hosts as proxies
    assert by.stats.lb_zone_routing_sampled.value == counted[1]
    assert by.stats.lb_zone_routing_cross_zone.value == 4000 - counted[1]


def test_nobody_is_at_home() -> None:
    by = rules(ALWAYS, local=local("ab"))
    assert set(ports(build(levels(zones("bc")), by), 50)) == {2}  # zone b has as many proxies as hosts
    assert by.stats.lb_zone_routing_cross_zone.value == 50


@pytest.mark.parametrize(
    ("hosts", "proxies", "config", "counter"),
    [
        ("aa", "ab", ALWAYS, ""),
        ("ab", "aa", ALWAYS, ""),
        ("ab", "bc", ALWAYS, "lb_local_cluster_not_ok"),
        ("aabb", "ab", Balancing(), "lb_zone_cluster_too_small"),
    ],
)
def test_zones_do_not_matter(hosts: str, proxies: str, config: Balancing, counter: str) -> None:
    by = rules(config, local=local(proxies))
    assert set(ports(build(levels(zones(hosts)), by), 50)) == set(range(1, len(hosts) + 1))
    assert by.stats.lb_recalculate_zone_structures.value == 1
    if counter:
        assert getattr(by.stats, counter).value == 1


@pytest.mark.parametrize(("fails", "picked"), [(False, {1, 2}), (True, {0})])
def test_proxies_in_panic_are_not_reckoned_with(fails: bool, picked: set[int]) -> None:
    sick = Local(HOME, Level(zones("ab", 900, health=Health.UNHEALTHY)))
    by = rules(Balancing(zone_aware=ZoneAware(min_cluster_size=1, fail_on_panic=fails)), local=sick)
    assert set(ports(build(levels(zones("ab")), by), 20)) == picked
    assert by.stats.lb_local_cluster_not_ok.value == 20


def test_a_share_of_the_picks() -> None:
    by = rules(Balancing(zone_aware=ZoneAware(enabled=30.0, min_cluster_size=1)), local=local("ab"))
    counted = ports(build(levels(zones("ab")), by), 4000)
    assert counted[2] / 4000 == pytest.approx(0.35, rel=0.1)
    assert by.stats.lb_zone_routing_all_directly.value == pytest.approx(1200, rel=0.1)


@pytest.mark.parametrize(("least", "picked"), [(1, {1}), (2, {1, 2, 3, 4})])
def test_forced_to_stay_at_home(least: int, picked: set[int]) -> None:
    by = rules(Balancing(zone_aware=ZoneAware(min_cluster_size=1, force_local=least)), local=local("aaa"))
    assert set(ports(build(levels(zones("abbb")), by), 80)) == picked


def test_what_hosts_can_serve_is_their_weight() -> None:
    members = [host(1, 9, zone="a"), *zones("bbb", 2)]
    assert set(ports(build(levels(members), rules(ALWAYS, local=local("ab"))), 80)) == {1, 2, 3, 4}
    by = rules(Balancing(zone_aware=ZoneAware(min_cluster_size=1, by_weight=True)), local=local("ab"))
    assert set(ports(build(levels(members), by), 80)) == {1}


def test_other_priorities_know_no_zones() -> None:
    by = rules(ALWAYS, local=local("ab"))
    bad = zones("ab", health=Health.UNHEALTHY)
    assert set(ports(build(levels(bad, zones("ab", 3)), by), 50)) == {3, 4}
