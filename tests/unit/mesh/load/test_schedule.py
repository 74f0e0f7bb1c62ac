"""When requests are due."""

from __future__ import annotations

from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.load.schedule import Constant, Poisson, Ramp, Replay, Schedule, Steps, parse_ramp, parse_steps


def until(schedule: Schedule, seconds: float) -> list[float]:
    return list(takewhile(lambda moment: moment < seconds, schedule.due(7)))


def test_constant_does_not_drift() -> None:
    assert list(islice(Constant(3).due(1), 30_001))[-1] == 10_000


def test_poisson_has_the_rate_and_the_spread_of_its_kind() -> None:
    moments = until(Poisson(100), 200)
    gaps = [b - a for a, b in pairwise(moments)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.01, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)  # of exponential gaps they are equal


def test_poisson_follows_its_seed() -> None:
    assert list(islice(Poisson(5).due(1), 9)) == list(islice(Poisson(5).due(1), 9))
    assert list(islice(Poisson(5).due(1), 9)) != list(islice(Poisson(5).due(2), 9))


@given(first=st.floats(0, 500), last=st.floats(0.5, 500), seconds=st.floats(0.5, 20), share=st.floats(0.05, 1))
def test_a_ramp_has_sent_the_area_below_its_line(first: float, last: float, seconds: float, share: float) -> None:
    moment = share * seconds
    area = first * moment + (last - first) * moment**2 / (2 * seconds)
    assert abs(len(until(Ramp(first, last, seconds), moment)) - area) <= 1.001


def test_a_ramp_goes_on_with_its_last_rate() -> None:
    ramp = Ramp(10, 50, 2)
    assert len(until(ramp, 5)) - len(until(ramp, 3)) == 100


def test_steps_end() -> None:
    moments = list(Steps(((10, 1), (100, 0.5))).due(1))
    assert len(moments) == 60
    assert moments[:2] == [0, 0.1]
    assert moments[10:12] == [1.0, 1.01]


def test_a_replay_at_another_speed() -> None:
    assert list(Replay((0, 1, 4), 2).due(1)) == [0, 0.5, 2]


@given(st.sampled_from([Constant(9), Poisson(9), Ramp(1, 90, 2), Ramp(90, 1, 2), Ramp(0, 9, 1), Ramp(9, 9, 1)]))
def test_moments_ascend(schedule: Schedule) -> None:
    moments = list(islice(schedule.due(3), 500))
    assert moments == sorted(moments)
    assert moments[0] >= 0


@pytest.mark.parametrize("text", ["", "5", "5:", "x:1", "-1:5", "5:0", "nan:1", "5:inf", "1:1,"])
def test_what_are_no_steps(text: str) -> None:
    with pytest.raises(ValueError):
        parse_steps(text)


@pytest.mark.parametrize("text", ["", "5:6", "5:6:x", "-1:5:1", "0:0:1", "1:2:0", "nan:1:1"])
def test_what_is_no_ramp(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ramp(text)


def test_schedules_from_the_command_line() -> None:
    assert parse_steps("5:2,7.5:1") == Steps(((5, 2), (7.5, 1)))
    assert parse_ramp("0:10:5") == Ramp(0, 10, 5)
