"""Ejection at Envoy's moments, on a clock that tests move."""

import random

import pytest

from sidecar.config.model import Address, Endpoint, LocalityEndpoints, OutlierDetection
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.upstream.host import Host
from sidecar.upstream.outlier import OutlierDetector


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
    bench.detector.on_local_success(host)
    bench.detector.on_local_failure(host, 503, 0.0)
    assert not host.ejected
    assert host.consecutive_5xx == 0
