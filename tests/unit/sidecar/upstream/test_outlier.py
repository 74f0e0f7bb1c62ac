"""Ejection at Envoy's moments, on a clock that tests move."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import Address, Endpoint, LocalityEndpoints, OutlierDetection
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.upstream.host import Host
from sidecar.upstream.outlier import Averages, OutlierDetector, success_rate_averages


class Bench:
    """A detector with its hosts; `events` are the breakers' changes."""

    def __init__(self, count: int, config: OutlierDetection) -> None:
        self.hosts = [Host(Endpoint(Address("127.0.0.1", port)), LocalityEndpoints(())) for port in range(count)]
        self.stats = ClusterStats(Stats(), "c")
        self.events: list[tuple[str, str]] = []
        self.changes = 0
        self.detector = OutlierDetector(
            "c",
            config,
            lambda: self.hosts,
            stats=self.stats,
            changed=self._changed,
            listeners=[lambda _cluster, host, state, _why: self.events.append((host, state))],
            rng=random.Random(0),
        )

    def _changed(self) -> None:
        self.changes += 1

    def fail(self, times: int, status: int = 500, host: int = 0, now: float = 0.0) -> None:
        for _ in range(times):
            self.detector.on_status(self.hosts[host], status, now)


def test_the_fifth_5xx_in_a_row_ejects() -> None:
    bench = Bench(10, OutlierDetection())
    bench.fail(4)
    assert not bench.hosts[0].ejected
    bench.fail(1)
    assert bench.hosts[0].ejected
    assert bench.changes == 1
    assert bench.events == [("127.0.0.1:0", "open")]
    assert bench.stats.ejections_enforced_consecutive_5xx.value == 1


def test_any_other_answer_begins_anew() -> None:
    bench = Bench(10, OutlierDetection())
    bench.fail(4)
    bench.fail(1, status=404)
    bench.fail(4)
    assert not bench.hosts[0].ejected


@pytest.mark.parametrize(
    ("count", "percent", "ejected"), [(2, 10, False), (2, 49, False), (2, 50, True), (3, 34, True)]
)
def test_no_more_than_the_percentage_may_be_out(count: int, percent: int, ejected: bool) -> None:
    bench = Bench(count, OutlierDetection(max_ejection_percent=percent))
    bench.fail(5)
    assert bench.hosts[0].ejected is ejected
    assert bench.stats.ejections_overflow.value == (0 if ejected else 1)


def test_always_eject_one_host() -> None:
    bench = Bench(2, OutlierDetection(always_eject_one_host=True))
    bench.fail(5, host=0)
    bench.fail(5, host=1)
    assert [host.ejected for host in bench.hosts] == [True, False]


def test_a_host_returns_at_a_tick_and_stays_longer_the_next_time() -> None:
    bench = Bench(10, OutlierDetection())
    host = bench.hosts[0]
    bench.fail(5, now=0.0)
    bench.detector.tick(29.0)
    assert host.ejected
    bench.detector.tick(30.0)
    assert not host.ejected
    assert bench.events[-1] == ("127.0.0.1:0", "closed")
    bench.fail(5, now=31.0)
    bench.detector.tick(31.0 + 59.0)
    assert host.ejected
    bench.detector.tick(31.0 + 60.0)
    assert not host.ejected


def test_good_intervals_shorten_the_next_ejection() -> None:
    bench = Bench(10, OutlierDetection())
    bench.fail(5, now=0.0)
    bench.detector.tick(30.0)
    assert bench.hosts[0].ejections == 1
    bench.detector.tick(40.0)
    assert bench.hosts[0].ejections == 0


def test_local_failures_count_as_5xx_unless_split() -> None:
    bench = Bench(10, OutlierDetection())
    for _ in range(5):
        bench.detector.on_local_failure(bench.hosts[0], 503, 0.0)
    assert bench.hosts[0].ejected


def test_split_local_failures_have_their_own_count() -> None:
    bench = Bench(10, OutlierDetection(split_local_origin=True))
    host = bench.hosts[0]
    for _ in range(4):
        bench.detector.on_local_failure(host, 503, 0.0)
    bench.detector.on_connected(host, 0.0)
    bench.detector.on_local_failure(host, 503, 0.0)
    assert not host.ejected
    assert host.consecutive_5xx == 0
    for _ in range(4):
        bench.detector.on_local_failure(host, 503, 0.0)
    assert host.ejected


def test_a_request_that_found_a_connection_was_no_local_failure_before() -> None:
    bench = Bench(10, OutlierDetection(split_local_origin=True))
    for _ in range(9):
        bench.detector.on_local_failure(bench.hosts[0], 504, 0.0, connected=True)
    assert not bench.hosts[0].ejected


def test_a_tcp_session_is_a_success() -> None:
    bench = Bench(10, OutlierDetection())
    for _ in range(4):
        bench.detector.on_local_failure(bench.hosts[0], 503, 0.0)
    bench.detector.on_connected(bench.hosts[0], 0.0)
    bench.detector.on_local_failure(bench.hosts[0], 503, 0.0)
    assert not bench.hosts[0].ejected


def test_a_count_of_zero_is_never_reached() -> None:
    bench = Bench(10, OutlierDetection(consecutive_5xx=0, consecutive_gateway_failure=0))
    bench.fail(20, status=503)
    assert bench.stats.ejections_detected_consecutive_5xx.value == 0
    assert bench.stats.ejections_detected_consecutive_gateway_failure.value == 0


def test_the_deprecated_counters_count_as_envoys() -> None:
    """`ejections_consecutive_5xx` every time, `ejections_total` when it would have been allowed."""
    bench = Bench(2, OutlierDetection())
    bench.fail(5)
    assert (bench.stats.ejections_consecutive_5xx.value, bench.stats.ejections_total.value) == (1, 0)
    bench = Bench(2, OutlierDetection(max_ejection_percent=100, enforcing_consecutive_5xx=0))
    bench.fail(5)
    assert (bench.stats.ejections_consecutive_5xx.value, bench.stats.ejections_total.value) == (1, 1)
    assert not bench.hosts[0].ejected


# ── shares ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rates", "factor", "average", "threshold"),
    [
        ([50, 100, 100, 100, 100], 1900, 90, 52),  # the example of Envoy's documentation
        ([100, 100, 100, 100, 100], 1900, 100, 100),
        ([0, 100], 1000, 50, 0),
        ([80, 90, 100], 0, 90, 90),
    ],
)
def test_success_rates_stand_out_by_standard_deviations(
    rates: list[float], factor: int, average: float, threshold: float
) -> None:
    assert success_rate_averages(rates, factor) == Averages(pytest.approx(average), pytest.approx(threshold))


def traffic(bench: Bench, *counts: tuple[int, int]) -> None:
    """(good, bad) answers of each host, never five bad ones in a row."""
    for host, (good, bad) in zip(bench.hosts, counts, strict=True):
        host.interval_success, host.interval_total = good, good + bad


def out(bench: Bench) -> list[int]:
    return [index for index, host in enumerate(bench.hosts) if host.ejected]


def test_success_rate_ejects_by_default() -> None:
    bench = Bench(5, OutlierDetection(max_ejection_percent=20))
    traffic(bench, (50, 50), *[(100, 0)] * 4)
    bench.detector.tick(10.0)
    assert out(bench) == [0]
    assert bench.hosts[0].success_rate == 50.0
    assert bench.detector.rates == Averages(90.0, pytest.approx(52.0))
    assert bench.stats.ejections_enforced_success_rate.value == bench.stats.ejections_success_rate.value == 1
    assert bench.hosts[0].breaker is not None
    assert bench.hosts[0].breaker.reason == "success rate 50 % is below 52 %; ejected for 30 s"
    bench.detector.tick(20.0)
    assert bench.detector.rates == Averages()
    assert bench.hosts[0].success_rate == -1.0


@pytest.mark.parametrize(
    ("count", "volume", "enforcing"), [(4, 100, 100), (5, 99, 100), (5, 100, 0)], ids=["hosts", "volume", "enforcing"]
)
def test_success_rate_needs_hosts_and_volume_and_enforcing(count: int, volume: int, enforcing: int) -> None:
    bench = Bench(count, OutlierDetection(max_ejection_percent=100, enforcing_success_rate=enforcing))
    traffic(bench, (volume - 50, 50), *[(volume, 0)] * (count - 1))
    bench.detector.tick(10.0)
    assert out(bench) == []
    assert bench.stats.ejections_detected_success_rate.value == (0 if enforcing else 1)


def test_each_interval_counts_by_itself() -> None:
    bench = Bench(5, OutlierDetection(max_ejection_percent=20))
    traffic(bench, (25, 25), *[(50, 0)] * 4)
    bench.detector.tick(10.0)
    traffic(bench, (25, 25), *[(50, 0)] * 4)
    bench.detector.tick(20.0)
    assert out(bench) == []


@pytest.mark.parametrize(("bad", "ejected"), [(84, False), (85, True)])
def test_failure_percentage_ejects_at_its_threshold(bad: int, ejected: bool) -> None:
    config = OutlierDetection(max_ejection_percent=20, enforcing_failure_percentage=100, enforcing_success_rate=0)
    bench = Bench(5, config)
    traffic(bench, (100 - bad, bad), *[(100, 0)] * 4)
    bench.detector.tick(10.0)
    assert out(bench) == ([0] if ejected else [])
    assert bench.stats.ejections_enforced_failure_percentage.value == ejected
    assert bench.stats.ejections_total.value == 1  # detected by its success rate, which is not enforced


def test_failure_percentage_is_off_by_default() -> None:
    bench = Bench(5, OutlierDetection(max_ejection_percent=100, enforcing_success_rate=0))
    traffic(bench, (0, 100), *[(100, 0)] * 4)
    bench.detector.tick(10.0)
    assert out(bench) == []
    assert bench.stats.ejections_detected_failure_percentage.value == 1


def test_ejected_hosts_take_no_part() -> None:
    bench = Bench(6, OutlierDetection(max_ejection_percent=100))
    bench.fail(5, host=5)
    traffic(bench, (50, 50), *[(100, 0)] * 4, (0, 100))
    bench.detector.tick(10.0)
    assert out(bench) == [0, 5]
    assert bench.detector.rates.average == 90.0


def test_reaching_hosts_is_judged_apart_when_split() -> None:
    bench = Bench(5, OutlierDetection(split_local_origin=True, consecutive_local_origin_failure=0))
    for host in bench.hosts:
        for number in range(100):
            if host is bench.hosts[0] and number % 2:
                bench.detector.on_local_failure(host, 503, 0.0)
            else:
                bench.detector.on_status(host, 200, 0.0)
    bench.detector.tick(10.0)
    assert bench.detector.local_rates.average == 90.0
    assert (bench.hosts[0].success_rate, bench.hosts[0].local_success_rate) == (100.0, 50.0)
    assert bench.stats.ejections_detected_local_origin_success_rate.value == 1
    assert bench.stats.ejections_overflow.value == 1  # one of five hosts is more than 10 %


# ── time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_longest_ejection_is_bounded_and_may_be_lengthened_at_random() -> None:
    bench = Bench(1, OutlierDetection(max_ejection_percent=100, max_ejection_time=40.0, max_ejection_time_jitter=5.0))
    host, now, lengths = bench.hosts[0], 0.0, []
    for _ in range(20):
        bench.fail(5, now=now)
        began = now
        while host.ejected:
            now += 0.25
            bench.detector.tick(now)
        lengths.append(now - began)
    assert 30.0 <= lengths[0] <= 35.25
    assert all(40.0 <= length <= 45.25 for length in lengths[1:])
    assert len(set(lengths)) > 3


def test_a_passed_health_check_ends_an_ejection_unless_told_not_to() -> None:
    for uneject in (True, False):
        config = OutlierDetection(max_ejection_percent=100, successful_active_health_check_uneject_host=uneject)
        bench = Bench(1, config)
        bench.fail(5)
        bench.detector.on_health_check_passed(bench.hosts[0], 1.0)
        assert bench.hosts[0].ejected is not uneject


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([200, 500, 503, 0, -1]), st.floats(0, 20)), max_size=120),
    st.integers(0, 100),
)
def test_no_more_are_out_than_allowed_and_all_come_back(steps: list[tuple[int, int, float]], percent: int) -> None:
    """Whatever happens: the percentage holds, and silence heals."""
    config = OutlierDetection(max_ejection_percent=percent, consecutive_5xx=2, success_rate_minimum_hosts=2)
    bench, now = Bench(4, config), 0.0
    for host, what, wait in steps:
        if what > 0:
            bench.fail(1, status=what, host=host, now=now)
        elif what == 0:
            bench.detector.on_local_failure(bench.hosts[host], 503, now)
        else:
            now += wait
            bench.detector.tick(now)
        assert 100 * len(out(bench)) <= percent * 4
    for _ in range(40):
        now += 10.0
        bench.detector.tick(now)
    assert out(bench) == []
    states = dict(bench.events)
    assert set(states.values()) <= {"closed"}


@pytest.mark.fault("F:sidecar/upstream/outlier.py:127")
def test_a_500_ends_a_streak_of_gateway_errors() -> None:
    config = OutlierDetection(
        consecutive_5xx=0, consecutive_gateway_failure=3, enforcing_consecutive_gateway_failure=100
    )
    bench = Bench(10, config)
    for status in (502, 504, 500, 503, 502):
        bench.fail(1, status=status)
    assert not bench.hosts[0].ejected
    bench.fail(1, status=504)
    assert bench.hosts[0].ejected
