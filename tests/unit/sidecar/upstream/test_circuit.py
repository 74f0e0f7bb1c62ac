"""The three-state breaker, on a clock that tests move."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import CircuitBreaker
from sidecar.telemetry.stats import CircuitStats, Stats
from sidecar.upstream.breaker import HostBreaker
from sidecar.upstream.circuit import Circuit, Permit, Window

BY_COUNT = CircuitBreaker(consecutive_failures=3, open_time=5.0)
BY_RATE = CircuitBreaker(failure_rate=50.0, minimum_requests=4, window=10.0)
BY_TIME = CircuitBreaker(slow_call_rate=50.0, slow_call_duration=1.0, minimum_requests=2)


class Bench:
    def __init__(self, config: CircuitBreaker) -> None:
        self.events: list[tuple[str, str]] = []
        breaker = HostBreaker("c", "*", [lambda _cluster, _host, state, why: self.events.append((state, why))])
        self.stats = CircuitStats(Stats(), "c")
        self.circuit = Circuit(config, breaker, self.stats)

    def admit(self, now: float) -> Permit:
        permit = self.circuit.admit(now)
        assert permit is not None
        return permit

    def call(self, status: int, now: float = 0.0, took: float = 0.0) -> None:
        self.circuit.answered(self.admit(now), status, now + took)

    def calls(self, *statuses: int, now: float = 0.0) -> None:
        for status in statuses:
            self.call(status, now)


def test_failures_in_a_row() -> None:
    bench = Bench(BY_COUNT)
    bench.calls(500, 500, 200, 500, 503)
    assert bench.circuit.state == "closed"
    bench.circuit.failed(bench.admit(0.0), "no connection", 0.0)
    assert bench.circuit.state == "open"
    assert bench.events == [("open", "3 failures in a row")]
    assert bench.circuit.admit(4.9) is None
    assert bench.stats.rejected.value == 1


def test_what_the_client_asked_wrongly_is_no_failure() -> None:
    bench = Bench(BY_COUNT)
    bench.calls(*[404] * 10)
    assert bench.circuit.state == "closed"


def test_a_rate_needs_its_volume() -> None:
    bench = Bench(BY_RATE)
    bench.calls(500, 500, 500)
    assert bench.circuit.state == "closed"
    bench.call(200)
    assert bench.events == [("open", "75 % of 4 requests in 10 s failed, 50 % are enough")]


@pytest.mark.parametrize(("statuses", "state"), [((500, 200, 200, 200), "closed"), ((200, 200, 500, 500), "open")])
def test_a_rate_is_reached_at_its_threshold(statuses: tuple[int, ...], state: str) -> None:
    bench = Bench(BY_RATE)
    bench.calls(*statuses)
    assert bench.circuit.state == state


def test_what_left_the_window_is_forgotten() -> None:
    bench = Bench(BY_RATE)
    bench.calls(500, 500, 500, now=0.5)
    bench.calls(200, 200, 200, 200, now=10.5)
    assert bench.circuit.state == "closed"


def test_slow_calls() -> None:
    bench = Bench(BY_TIME)
    bench.call(200, took=0.9)
    bench.call(200, took=1.0)
    assert bench.events == [("open", "50 % of 2 requests in 10 s were slow, 50 % are enough")]


def opened(config: CircuitBreaker) -> Bench:
    bench = Bench(config)
    bench.calls(500, 500, 500)
    return bench


def test_a_probe_that_passes_closes() -> None:
    bench = opened(BY_COUNT)
    probe = bench.admit(5.0)
    assert bench.circuit.state == "half-open"
    assert bench.circuit.admit(5.0) is None
    bench.circuit.answered(probe, 200, 5.1)
    assert bench.circuit.state == "closed"
    assert [state for state, _ in bench.events] == ["open", "half-open", "closed"]
    assert bench.events[1:] == [
        ("half-open", "open for 5 s: up to 1 request at a time are let through"),
        ("closed", "1 of 1 probes passed"),
    ]
    assert (bench.stats.opened.value, bench.stats.half_opened.value, bench.stats.closed.value) == (1, 1, 1)
    assert bench.stats.state.value == 0
    bench.calls(500, 500)
    assert bench.circuit.state == "closed"


def test_a_probe_that_fails_opens_again() -> None:
    bench = opened(BY_COUNT)
    bench.circuit.failed(bench.admit(5.0), "timed out", 6.0)
    assert bench.events[-1] == ("open", "a probe failed: timed out")
    assert bench.circuit.admit(10.9) is None
    assert bench.circuit.admit(11.0) is not None


def test_a_slow_probe_fails() -> None:
    bench = Bench(replace(BY_TIME, open_time=5.0))
    bench.call(200, took=2.0)
    bench.call(200, took=2.0)
    bench.call(200, now=7.0, took=1.5)
    assert bench.events[-1] == ("open", "a probe failed: took 1.5 s")


def test_several_probes_have_to_pass() -> None:
    bench = opened(replace(BY_COUNT, half_open_requests=2))
    first, second = bench.admit(5.0), bench.admit(5.0)
    assert bench.circuit.admit(5.0) is None
    bench.circuit.answered(first, 200, 5.1)
    assert bench.circuit.admit(5.2) is None
    bench.circuit.answered(second, 200, 5.2)
    assert bench.circuit.state == "closed"


def test_a_probe_that_was_given_up_makes_room() -> None:
    bench = opened(BY_COUNT)
    bench.circuit.cancelled(bench.admit(5.0))
    assert bench.circuit.state == "half-open"
    assert bench.circuit.admit(5.0) is not None


def test_what_was_let_through_before_says_nothing_after() -> None:
    bench = Bench(BY_COUNT)
    late = [bench.admit(0.0) for _ in range(3)]
    bench.calls(500, 500, 500)
    probe = bench.admit(5.0)
    bench.circuit.answered(late[0], 500, 5.1)
    bench.circuit.answered(late[1], 200, 5.1)
    bench.circuit.cancelled(late[2])
    assert (bench.circuit.state, bench.circuit.probing) == ("half-open", 1)
    bench.circuit.answered(probe, 200, 5.2)
    assert bench.circuit.state == "closed"


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans(), st.booleans()), max_size=60))
def test_a_window_counts_what_is_in_it(steps: list[tuple[float, bool, bool]]) -> None:
    window, now, seen = Window(10.0), 0.0, []
    for wait, failed, slow in steps:
        now += wait
        window.add(now, failed=failed, slow=slow)
        seen.append((now, failed, slow))
        inside = [each for each in seen if int(each[0]) > int(now) - 10]
        assert (window.total, window.failed, window.slow) == (
            len(inside),
            sum(failed for _, failed, _ in inside),
            sum(slow for _, _, slow in inside),
        )


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(st.sampled_from(["admit", "pass", "fail", "cancel", "wait"]), st.integers(0, 5), st.floats(0, 4)),
        max_size=150,
    ),
)
def test_permits(half_open: int, steps: list[tuple[str, int, float]]) -> None:
    """Whatever comes: never more probes than allowed, none while open, and once all permits are back it can close."""
    bench = Bench(replace(BY_COUNT, half_open_requests=half_open))
    circuit, held, now = bench.circuit, list[Permit](), 0.0
    for what, which, wait in steps:
        if what == "wait":
            now += wait
        elif what == "admit":
            permit = circuit.admit(now)
            assert (permit is None) is (circuit.state == "open") or circuit.state == "half-open"
            held += [permit] if permit is not None else []
        elif held:
            permit = held.pop(which % len(held))
            if what == "cancel":
                circuit.cancelled(permit)
            else:
                circuit.answered(permit, 200 if what == "pass" else 500, now)
        assert 0 <= circuit.probing <= half_open
    for permit in held:
        circuit.cancelled(permit)
    assert circuit.probing == 0
    now += 5.0
    for _ in range(half_open):
        bench.call(200, now)
    assert circuit.state == "closed"
