"""Judges of hosts on long random ways, written down in `walks/` step by step: outlier detection, the three-state breaker,
active health checks. `python -m tests.unit.sidecar.upstream.test_walks` writes them anew after a change that is meant: read
what differs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.config.model import (
    Address,
    CircuitBreaker,
    Endpoint,
    Health,
    HealthCheck,
    LocalityEndpoints,
    OutlierDetection,
    TcpProbe,
)
from sidecar.telemetry.cells import Histogram
from sidecar.telemetry.stats import CircuitStats, ClusterStats, HealthCheckStats, Stats
from sidecar.upstream.breaker import HostBreaker
from sidecar.upstream.circuit import Circuit, Permit
from sidecar.upstream.health import Failure, HealthSession, Verdict
from sidecar.upstream.host import Host
from sidecar.upstream.outlier import OutlierDetector

FOLDER: Final = Path(__file__).with_name("walks")
STEPS: Final = 200
HOST: Final = (
    "ejected",
    "ejected_at",
    "ejections",
    "ejection_jitter",
    "returned_at",
    "interval_total",
    "interval_success",
    "interval_local_total",
    "interval_local_success",
    "success_rate",
    "local_success_rate",
    "consecutive_5xx",
    "consecutive_gateway",
    "consecutive_local",
    "failed_active_hc",
    "active_hc_timeout",
    "degraded_active_hc",
    "pending_active_hc",
    "excluded_by_hc",
    "healthy_since",
    "healthy",
    "degraded",
    "excluded",
)


def host_of(number: int) -> Host:
    return Host(Endpoint(Address("10.0.0.1", number)), LocalityEndpoints(()))


class Diary:
    """What changed, as text."""

    def __init__(self, look: Callable[[], Mapping[str, object]]) -> None:
        self._look = look
        self._before = dict(look())

    def news(self) -> str:
        now = dict(self._look())
        changed = [f"{name}={value}" for name, value in now.items() if value != self._before.get(name, 0)]
        self._before = now
        return " ".join(changed)


def counted(stats: Stats) -> dict[str, object]:
    return {
        stat.name: stat.cell.value
        for part in stats.parts()
        for stat in part
        if not isinstance(stat.cell, Histogram) and hasattr(stat.cell, "value")
    }


def seen(hosts: list[Host]) -> dict[str, object]:
    found = {f"{host.address.port}.{name}": getattr(host, name) for host in hosts for name in HOST}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


# ── outlier detection ─────────────────────────────────────────────────────────────────────────────────────────────────

DETECTORS: Final[dict[str, OutlierDetection]] = {
    "defaults": OutlierDetection(),
    "gateway": OutlierDetection(
        consecutive_gateway_failure=2, enforcing_consecutive_gateway_failure=100, max_ejection_percent=60
    ),
    "split": OutlierDetection(
        split_local_origin=True,
        consecutive_local_origin_failure=2,
        consecutive_5xx=3,
        max_ejection_percent=40,
        max_ejection_time_jitter=2.0,
        base_ejection_time=5.0,
        max_ejection_time=12.0,
    ),
    "rates": OutlierDetection(
        consecutive_5xx=50,
        success_rate_minimum_hosts=3,
        success_rate_request_volume=4,
        success_rate_stdev_factor=500,
        failure_percentage_minimum_hosts=2,
        failure_percentage_request_volume=3,
        failure_percentage_threshold=50,
        enforcing_failure_percentage=50,
        max_ejection_percent=100,
        base_ejection_time=3.0,
        interval=2.0,
    ),
    "local rates": OutlierDetection(
        split_local_origin=True,
        consecutive_5xx=50,
        consecutive_local_origin_failure=50,
        success_rate_minimum_hosts=3,
        success_rate_request_volume=3,
        success_rate_stdev_factor=300,
        enforcing_local_origin_success_rate=80,
        failure_percentage_minimum_hosts=5,
        failure_percentage_request_volume=5,
        enforcing_failure_percentage_local_origin=100,
        failure_percentage_threshold=60,
        max_ejection_percent=50,
        always_eject_one_host=True,
        successful_active_health_check_uneject_host=False,
        interval=2.0,
    ),
    "one": OutlierDetection(consecutive_5xx=2, max_ejection_percent=10, always_eject_one_host=True),
}


def outliers(name: str) -> Iterator[str]:
    rng, stats, hosts, told = random.Random(name), Stats(), [host_of(port) for port in range(1, 6)], []
    now = 0.0
    detector = OutlierDetector(
        "c",
        DETECTORS[name],
        lambda: hosts,
        stats=ClusterStats(stats, "c"),
        changed=lambda: told.append("changed"),
        failed=lambda host: told.append(f"failed {host.address.port}"),
        listeners=[lambda *change: told.append(" ".join(change))],
        rng=random.Random(name),
    )
    diary = Diary(lambda: {**seen(hosts), **counted(stats), "rates": detector.rates, "local": detector.local_rates})
    for _ in range(STEPS):
        host = rng.choice(hosts)
        what = rng.choice(["status"] * 8 + ["failure"] * 4 + ["connected", "tick", "tick", "checked"])
        if what == "status":
            good = 0.85 if host is not hosts[0] else 0.2
            status = 200 if rng.random() < good else rng.choice([404, 500, 500, 502, 503, 504, 499])
            what = f"status {status}"
            detector.on_status(host, status, now)
        elif what == "failure":
            status, connected = rng.choice([503, 504]), rng.random() < 0.5
            what = f"failure {status} {connected}"
            detector.on_local_failure(host, status, now, connected=connected)
        elif what == "connected":
            detector.on_connected(host, now)
        elif what == "checked":
            detector.on_health_check_passed(host, now)
        else:
            now += rng.choice([0.5, 1.0, 4.0, 10.0])
            detector.tick(now)
        yield f"{now:g} {host.address.port} {what}: {diary.news()} {'; '.join(told)}"
        told.clear()


# ── the three-state breaker ───────────────────────────────────────────────────────────────────────────────────────────

BREAKERS: Final[dict[str, CircuitBreaker]] = {
    "failures": CircuitBreaker(consecutive_failures=3, open_time=5.0),
    "a failure": CircuitBreaker(consecutive_failures=1, open_time=2.0, half_open_requests=2),
    "rate": CircuitBreaker(failure_rate=30.0, minimum_requests=4, window=10.0, half_open_requests=3, open_time=1.0),
    "slow": CircuitBreaker(slow_call_rate=40.0, slow_call_duration=1.0, minimum_requests=3, window=5.0, open_time=3.0),
    "all": CircuitBreaker(
        consecutive_failures=4,
        failure_rate=50.0,
        slow_call_rate=60.0,
        slow_call_duration=0.5,
        minimum_requests=5,
        window=4.0,
        open_time=2.0,
    ),
}


def circuits(name: str) -> Iterator[str]:
    rng, stats, told = random.Random(name), Stats(), []
    breaker = HostBreaker("c", "*", [lambda *change: told.append(" ".join(change))])
    circuit = Circuit(BREAKERS[name], breaker, CircuitStats(stats, "c"))
    permits: list[Permit] = []
    now = 0.0

    def look() -> dict[str, object]:
        return {
            "state": circuit.state,
            "why": circuit.reason,
            "counts": circuit.counts,
            "probing": circuit.probing,
            **counted(stats),
        }

    diary = Diary(look)
    yield circuit.opens_at
    for _ in range(STEPS):
        now += rng.choice([0.0, 0.0, 0.1, 0.5, 1.0])
        what = rng.choice(["admit"] * 5 + ["answered"] * 5 + ["failed", "cancelled"])
        if what == "admit" or not permits:
            permit = circuit.admit(now)
            what = "admit" if permit is not None else "refuse"
            if permit is not None:
                permits.append(permit)
        else:
            permit = permits.pop(rng.randrange(len(permits)))
            if what == "answered":
                status = rng.choice([200, 200, 200, 404, 499, 500, 503])
                what = f"answered {status}"
                circuit.answered(permit, status, now)
            elif what == "failed":
                circuit.failed(permit, "the connection ended", now)
            else:
                circuit.cancelled(permit)
        yield f"{now:.4g} {what}: {diary.news()} {'; '.join(told)}"
        told.clear()
    circuit.close()
    yield f"closed: {diary.news()}"


# ── active health checks ──────────────────────────────────────────────────────────────────────────────────────────────

CHECK: Final = HealthCheck(1.0, 5.0, 3, 2, TcpProbe(), 60.0, 50.0, 7.0, 8.0, 9.0)
CHECKS: Final[dict[str, tuple[HealthCheck, dict[str, Any]]]] = {
    "new": (CHECK, {"failed_active_hc": True, "pending_active_hc": True}),
    "known": (replace(CHECK, interval_jitter_percent=20), {"degraded_active_hc": True, "healthy_since": 1.0}),
    "jitter": (replace(CHECK, interval_jitter=2.0, unhealthy_threshold=1), {"failed_active_hc": True}),
    "at once": (replace(CHECK, interval=0.0, healthy_threshold=1, no_traffic_interval=0.0), {}),
}


def checks(name: str) -> Iterator[str]:
    config, flags = CHECKS[name]
    rng, stats, host = random.Random(name), Stats(), host_of(1)
    host.endpoint = replace(host.endpoint, health=Health.HEALTHY)
    for flag, value in flags.items():
        setattr(host, flag, value)
    session = HealthSession(config, host, HealthCheckStats(stats, "c"))
    diary = Diary(lambda: {**seen([host]), **counted(stats), "first": session.first})
    for _ in range(STEPS // 2):
        good = rng.random() < 0.6
        verdict = Verdict(
            None if good else rng.choice(list(Failure)),
            retriable=not good and rng.random() < 0.3,
            degraded=good and rng.random() < 0.2,
            excluded=rng.random() < 0.1,
        )
        change = session.judge(verdict)
        pauses = [session.pause(good, change, traffic=traffic, rng=rng) for traffic in (True, False)]
        yield f"{verdict}: {change.value} {[round(pause, 4) for pause in pauses]} {diary.news()}"
    session.end()
    yield f"end: {diary.news()}"


WALKS: Final[dict[str, tuple[Callable[[str], Iterator[str]], str]]] = {
    f"{kind}-{name.replace(' ', '-')}": (walk, name)
    for kind, walk, names in (
        ("outliers", outliers, DETECTORS),
        ("circuit", circuits, BREAKERS),
        ("checks", checks, CHECKS),
    )
    for name in names
}


def lines(walk: str) -> list[str]:
    make, name = WALKS[walk]
    return [line.rstrip() for line in make(name)]


@pytest.mark.parametrize("walk", WALKS)
def test_a_way_is_gone_as_it_is_written_down(walk: str) -> None:
    assert lines(walk) == (FOLDER / f"{walk}.txt").read_text(encoding="utf-8").splitlines()


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for walk in WALKS:
        (FOLDER / f"{walk}.txt").write_text("\n".join(lines(walk)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
