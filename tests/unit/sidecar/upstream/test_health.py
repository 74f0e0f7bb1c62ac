"""What checks make of a host, check by check."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import Address, Endpoint, HealthCheck, LocalityEndpoints, TcpProbe
from sidecar.telemetry.stats import HealthCheckStats, Stats
from sidecar.upstream.health import PASSED, Change, Failure, HealthSession, Verdict
from sidecar.upstream.host import Host

CONFIG = HealthCheck(1.0, 5.0, 3, 2, TcpProbe(), 60.0, 50.0, 7.0, 8.0, 9.0)
NETWORK, TIMEOUT, ACTIVE = (Verdict(failure) for failure in (Failure.NETWORK, Failure.TIMEOUT, Failure.ACTIVE))


class Bench:
    def __init__(self, *, failed: bool = True, config: HealthCheck = CONFIG) -> None:
        self.host = Host(Endpoint(Address("127.0.0.1", 1)), LocalityEndpoints(()))
        self.host.failed_active_hc = failed
        self.stats = HealthCheckStats(Stats(), "c")
        self.session = HealthSession(config, self.host, self.stats)

    def see(self, *verdicts: Verdict) -> list[Change]:
        return [self.session.judge(verdict) for verdict in verdicts]


def test_the_first_success_makes_healthy() -> None:
    bench = Bench()
    assert bench.see(PASSED) == [Change.CHANGED]
    assert bench.host.healthy
    assert bench.stats.healthy.value == 1


def test_later_it_takes_several() -> None:
    bench = Bench()
    assert bench.see(NETWORK, PASSED, NETWORK, PASSED) == [
        Change.UNCHANGED,
        Change.PENDING,
        Change.UNCHANGED,
        Change.PENDING,
    ]
    assert bench.see(PASSED) == [Change.CHANGED]


def test_the_network_may_fail_now_and_then() -> None:
    bench = Bench(failed=False)
    assert bench.see(NETWORK, TIMEOUT) == [Change.PENDING, Change.PENDING]
    assert bench.see(PASSED) == [Change.UNCHANGED]
    assert bench.see(NETWORK, NETWORK, TIMEOUT) == [Change.PENDING, Change.PENDING, Change.CHANGED]
    assert bench.host.active_hc_timeout
    bench.see(NETWORK)
    assert not bench.host.active_hc_timeout


@pytest.mark.parametrize("verdict", [ACTIVE, Verdict(Failure.PASSIVE)])
def test_a_wrong_answer_is_enough(verdict: Verdict) -> None:
    assert Bench(failed=False).see(verdict) == [Change.CHANGED]


def test_unless_it_is_retriable() -> None:
    again = Verdict(Failure.ACTIVE, retriable=True)
    assert Bench(failed=False).see(again, again, again) == [Change.PENDING, Change.PENDING, Change.CHANGED]


def test_who_asks_to_be_left_alone_is_excluded_until_healthy_again() -> None:
    bench = Bench(failed=False)
    bench.see(Verdict(Failure.PASSIVE, excluded=True))
    assert bench.host.excluded
    bench.see(PASSED)
    assert bench.host.excluded
    bench.see(PASSED)
    assert not bench.host.excluded and bench.host.healthy
    assert bench.stats.passive_failure.value == 1


def test_a_pending_host_counts_after_its_first_check() -> None:
    bench = Bench()
    bench.host.pending_active_hc = True
    assert bench.see(NETWORK) == [Change.CHANGED]
    assert not bench.host.excluded


def test_degraded_comes_and_goes() -> None:
    bench = Bench()
    assert bench.see(PASSED, Verdict(degraded=True), Verdict(degraded=True), PASSED) == [
        Change.CHANGED,
        Change.CHANGED,
        Change.UNCHANGED,
        Change.CHANGED,
    ]
    assert bench.stats.degraded.value == 0


@pytest.mark.parametrize(
    ("passed", "change", "traffic", "seconds"),
    [
        (True, Change.UNCHANGED, True, 5.0),
        (True, Change.CHANGED, True, 5.0),
        (True, Change.PENDING, True, 9.0),
        (False, Change.UNCHANGED, True, 7.0),
        (False, Change.CHANGED, True, 7.0),
        (False, Change.PENDING, True, 8.0),
        (True, Change.CHANGED, False, 50.0),
        (True, Change.PENDING, False, 60.0),
        (False, Change.UNCHANGED, False, 60.0),
    ],
)
def test_intervals(passed: bool, change: Change, traffic: bool, seconds: float) -> None:
    assert Bench().session.pause(passed, change, traffic=traffic, rng=random.Random(0)) == seconds


def test_jitter_lengthens_intervals() -> None:
    bench = Bench(config=replace(CONFIG, interval_jitter=1.0, interval_jitter_percent=50))
    rng = random.Random(1)
    pauses = [bench.session.pause(True, Change.UNCHANGED, traffic=True, rng=rng) for _ in range(200)]
    assert 5.0 <= min(pauses) < 5.5 and 7.5 < max(pauses) <= 8.5


@given(
    st.booleans(),
    st.lists(st.builds(Verdict, st.sampled_from([None, *Failure]), st.booleans(), st.booleans(), st.booleans())),
)
def test_gauges_tell_what_the_flags_say(failed: bool, verdicts: list[Verdict]) -> None:
    bench = Bench(failed=failed)
    for verdict in verdicts:
        before = bench.host.healthy, bench.host.healthy and bench.host.degraded
        change = bench.session.judge(verdict)
        if (bench.host.healthy, bench.host.healthy and bench.host.degraded) != before:
            assert change is Change.CHANGED
        assert bench.stats.healthy.value == (not bench.host.failed_active_hc)
        assert bench.stats.degraded.value == bench.host.degraded_active_hc
    assert bench.stats.success.value + bench.stats.failure.value == len(verdicts)
    bench.session.end()
    assert bench.stats.healthy.value == bench.stats.degraded.value == 0
