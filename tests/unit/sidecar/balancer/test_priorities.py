"""Priorities and panic: who may be picked at all."""

from __future__ import annotations

import pytest

from sidecar.balancer.priorities import build
from sidecar.config.model import Balancing, Health, ZoneAware
from tests.unit.sidecar.balancer.build import host, hosts, levels, ports, rules

UNHEALTHY, DEGRADED = Health.UNHEALTHY, Health.DEGRADED


def test_unhealthy_hosts_are_not_picked() -> None:
    pick = build(levels([*hosts(1, 1, 1), host(9, health=UNHEALTHY)]), rules())
    assert set(ports(pick)) == {0, 1, 2}


def test_panic_uses_everybody_and_is_counted() -> None:
    by = rules()
    assert set(ports(build(levels([host(1), host(2, health=UNHEALTHY), host(3, health=UNHEALTHY)]), by), 30)) == {
        1,
        2,
        3,
    }
    assert by.stats.lb_healthy_panic.value == 30


def test_panic_that_fails_is_counted_too() -> None:
    by = rules(Balancing(zone_aware=ZoneAware(fail_on_panic=True)))
    assert set(ports(build(levels([host(1, health=UNHEALTHY)]), by), 10)) == {0}
    assert by.stats.lb_healthy_panic.value == 10


def test_without_panic_nobody_is_left() -> None:
    by = rules(Balancing(panic_threshold=0.0))
    assert set(ports(build(levels([host(1, health=UNHEALTHY)]), by))) == {0}
    assert by.stats.lb_healthy_panic.value == 0


def test_the_next_priority_takes_over() -> None:
    by = rules(Balancing(panic_threshold=0.0))
    assert set(ports(build(levels([host(1, health=UNHEALTHY)], [host(2)]), by))) == {2}


def test_degraded_hosts_get_what_healthy_ones_cannot_take() -> None:
    assert set(ports(build(levels([host(1), host(2), host(3), host(4, health=DEGRADED)]), rules()))) == {1, 2, 3}
    counted = ports(build(levels([host(1), host(2, health=DEGRADED)]), rules()), 4000)
    assert counted[1] / counted[2] == pytest.approx(7 / 3, rel=0.1)
    assert set(ports(build(levels([host(1, health=DEGRADED)]), rules()))) == {1}


def test_all_priorities_are_left_out() -> None:
    assert set(ports(build(levels([host(1)]), rules(left_out=frozenset([0]))))) == {0}
