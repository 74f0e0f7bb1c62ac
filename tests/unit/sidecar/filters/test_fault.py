"""Faults that requests ask for; that they are Envoy's is the oracle's to say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.config.model import MILLION, FaultConfig
from sidecar.filters import NO_STEPS, Decision, Delay, Reply, Reset
from sidecar.filters.bodies import ended
from sidecar.filters.fault import FaultFilter
from sidecar.filters.pace import Pace
from sidecar.http.response_flags import Flag
from tests.unit.sidecar.filters.support import ROUTE, Bench, asked, exchange

DELAY = FaultConfig(delay_by_header=True, delay_chance=MILLION)
ABORT = FaultConfig(abort_by_header=True, abort_chance=MILLION)


def answer(config: FaultConfig, **headers: str) -> Decision | None:
    fields = [(b"x-envoy-fault-" + name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return asked(Bench().steps(FaultFilter, config), exchange(fields))


def aborted(status: int, grpc_status: int | None = None) -> Reply:
    return Reply(status, b"fault filter abort", "fault_filter_abort", int(Flag.FI), grpc_status=grpc_status)


def test_nothing_is_asked_where_the_chance_is_nought() -> None:
    assert Bench().steps(FaultFilter, FaultConfig(delay_by_header=True, abort_by_header=True)) == NO_STEPS


def test_a_request_asks_for_a_delay() -> None:
    found = answer(DELAY, delay_request="250")
    assert isinstance(found, Delay)
    assert found.seconds == 0.25


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "1s", "9" * 30])
def test_what_is_no_delay(value: str) -> None:
    assert answer(DELAY, delay_request=value) is None


def test_a_request_asks_for_an_abort() -> None:
    assert answer(ABORT, abort_request="418") == aborted(418)
    assert answer(ABORT, abort_grpc_request="5") == aborted(200, 5)
    assert answer(ABORT, abort_request="503", abort_grpc_request="5") == aborted(503)
    assert answer(ABORT, abort_request="600") is None
    assert answer(ABORT) is None


def test_a_request_lowers_the_chance() -> None:
    assert answer(ABORT, abort_request="503", abort_request_percentage="0") is None
    assert answer(ABORT, abort_request="503", abort_request_percentage="1000") == aborted(503)
    assert answer(ABORT, abort_request="503", abort_request_percentage="nonsense") == aborted(503)
    assert answer(DELAY, delay_request="1", delay_request_percentage="0") is None


@pytest.mark.parametrize(
    ("cluster", "node", "acts"),
    [("up", b"a", True), ("up", b"c", False), ("up", None, False), ("other", b"a", False), ("", b"a", False)],
)
def test_faults_of_one_cluster_and_some_nodes(cluster: str, node: bytes | None, acts: bool) -> None:
    config = FaultConfig(
        abort_status=503, abort_chance=MILLION, upstream_cluster="up", downstream_nodes=frozenset((b"a", b"b"))
    )
    made = exchange([(b"x-envoy-downstream-service-node", node)] if node else [])
    made.cluster_name = cluster
    assert (asked(Bench().steps(FaultFilter, config), made) is not None) == acts


# ── slow responses ────────────────────────────────────────────────────────────────────────────────────────────────────

SLOW = FaultConfig(rate_kbps=1, rate_chance=MILLION)
RATE = b"x-envoy-fault-throughput-response"


def test_a_slow_response_is_a_fault_until_its_request_is_over() -> None:
    bench, made = Bench(), exchange()
    steps = bench.steps(FaultFilter, SLOW)
    assert asked(steps, made) is None
    (body,) = steps.body
    assert isinstance(body(made, [], True), Pace)
    assert body(made, [], False) is None
    assert bench.count("http.test.fault.response_rl_injected") == bench.count("http.test.fault.active_faults") == 1
    ended(made)
    assert bench.count("http.test.fault.active_faults") == 0


def test_two_faults_of_one_request_count_as_one() -> None:
    bench, made = Bench(), exchange()
    both = FaultConfig(rate_kbps=1, rate_chance=MILLION, delay=1.0, delay_chance=MILLION, max_active=1)
    steps = bench.steps(FaultFilter, both)
    assert asked(steps, made) == Delay(1.0)
    assert bench.count("http.test.fault.active_faults") == 1
    assert asked(steps, exchange()) is None  # one is enough
    assert bench.count("http.test.fault.faults_overflow") == 2


@pytest.mark.parametrize(
    ("value", "percentage", "slow"),
    [(b"10", None, True), (b"0", None, False), (b"x", None, False), (None, None, False), (b"10", b"0", False)],
)
def test_a_request_asks_for_a_rate(value: bytes | None, percentage: bytes | None, slow: bool) -> None:
    headers = [(RATE, value)] if value is not None else []
    headers += [(RATE + b"-percentage", percentage)] if percentage is not None else []
    made = exchange(headers)
    steps = Bench().steps(FaultFilter, FaultConfig(rate_by_header=True, rate_chance=MILLION))
    assert asked(steps, made) is None
    assert (steps.body[0](made, [], True) is not None) == slow


def test_no_rate_no_body_step() -> None:
    assert Bench().steps(FaultFilter, FaultConfig(rate_kbps=5)) == NO_STEPS
    assert Bench().steps(FaultFilter, FaultConfig(rate_chance=MILLION)) == NO_STEPS


# ── resets ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("metadata", "resets"),
    [
        ({"mesh.fault": {"reset": 100.0}}, True),
        ({"mesh.fault": {"reset": 1000}}, True),
        ({"mesh.fault": {"reset": 0}}, False),
        ({"mesh.fault": {"reset": "100"}}, False),
        ({"mesh.fault": {}}, False),
        ({}, False),
    ],
)
def test_a_route_asks_for_resets(metadata: dict[str, Any], resets: bool) -> None:
    bench = Bench()
    steps = bench.steps(FaultFilter, FaultConfig(), route=replace(ROUTE, metadata=metadata))
    assert asked(steps, exchange()) == (Reset("fault_filter_reset", int(Flag.FI)) if resets else None)
    assert bench.count("http.test.fault.aborts_injected") == resets
    assert resets or steps == NO_STEPS


def test_a_share_is_reset() -> None:
    steps = Bench().steps(FaultFilter, FaultConfig(), route=replace(ROUTE, metadata={"mesh.fault": {"reset": 30}}))
    found = sum(asked(steps, exchange()) is not None for _ in range(1000))
    assert 250 < found < 350  # of a seeded generator
