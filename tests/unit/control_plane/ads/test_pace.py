from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control_plane.ads.pace import Pace


class Cpu:
    """Seconds that a process has spent, as a test says."""

    def __init__(self) -> None:
        self.seconds = 5.0

    def __call__(self) -> float:
        return self.seconds


def test_the_first_change_and_one_after_a_quiet_time_go_out_at_once() -> None:
    cpu = Cpu()
    pace = Pace(share=0.5, cpu=cpu)
    assert pace.wait(100.0) == 0
    pace.began(100.0)
    cpu.seconds += 1
    pace.ended()
    assert pace.wait(102.0) == 0


def test_one_soon_after_another_waits_for_its_share() -> None:
    cpu = Cpu()
    pace = Pace(share=0.5, longest=10, cpu=cpu)
    pace.began(100.0)
    cpu.seconds += 1
    assert pace.wait(100.5) == 1.5
    cpu.seconds += 0.5  # it is still being worked on
    assert pace.wait(100.5) == 2.5


def test_what_a_process_does_after_a_push_does_not_count() -> None:
    cpu = Cpu()
    pace = Pace(share=0.5, cpu=cpu)
    pace.began(100.0)
    pace.ended()
    cpu.seconds += 60
    pace.ended()
    assert pace.wait(100.0) == 0


@given(st.lists(st.floats(0, 30), max_size=8), st.floats(0, 30))
def test_nothing_waits_for_longer_than_the_longest(spent: list[float], later: float) -> None:
    cpu = Cpu()
    pace = Pace(longest=3, cpu=cpu)
    pace.began(100.0)
    for seconds in spent:
        cpu.seconds += seconds
        assert 0 <= pace.wait(100.0 + later) <= max(0.0, 3 - later) + 1e-9
