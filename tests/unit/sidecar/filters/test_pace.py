"""Bodies at a rate."""

from __future__ import annotations

from sidecar.filters.pace import Pace
from tests.unit.sidecar.filters.support import Clock


def test_a_share_at_once_and_one_every_interval() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    assert len(pace.feed(b"x" * 200, False)) == 51
    assert pace.held == 149
    assert pace.feed(b"y", True) == b""  # behind the others
    clock.now += pace.interval
    assert len(pace.release()) == 51
    clock.now += 1.0
    assert pace.release() == b"x" * 98 + b"y"
    assert pace.held == 0


def test_a_second_is_saved_up_at_most() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    clock.now += 60.0
    assert len(pace.feed(b"x" * 5000, True)) == 1024


def test_nothing_is_held_of_what_is_within_the_rate() -> None:
    pace = Pace(1000, Clock())
    assert pace.feed(b"abc", True) == b"abc"
    assert pace.held == 0
