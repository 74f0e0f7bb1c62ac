from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from control_plane.store.debounce import LONGEST_SECONDS, QUIET_SECONDS, Debounce


def test_nothing_waits_at_first() -> None:
    debounce = Debounce()
    assert debounce.due is None
    assert debounce.take(100.0) is None


def test_one_change_waits_for_quiet() -> None:
    debounce = Debounce()
    debounce.changed(10.0)
    assert debounce.due == 10.0 + QUIET_SECONDS
    assert debounce.take(10.05) is None
    assert debounce.take(10.1) == 10.0
    assert debounce.due is None


def test_each_change_begins_the_quiet_anew() -> None:
    debounce = Debounce(quiet=1, longest=10)
    debounce.changed(0.0)
    debounce.changed(0.9)
    assert debounce.take(1.0) is None
    assert debounce.take(1.9) == 0.0


def test_endless_changes_are_let_through_all_the_same() -> None:
    debounce = Debounce(quiet=1, longest=10)
    for tenth in range(100):
        debounce.changed(tenth / 10)
    assert debounce.take(9.99) is None
    assert debounce.take(10.0) == 0.0


@given(st.lists(st.floats(0, 2), max_size=30))
def test_no_change_waits_longer_than_the_longest_time(steps: list[float]) -> None:
    debounce, now = Debounce(), 0.0
    for step in steps:
        now += step
        if debounce.due is not None and debounce.due <= now:
            due = debounce.due
            assert (taken := debounce.take(due)) is not None
            assert due - taken <= LONGEST_SECONDS
        debounce.changed(now)
        assert debounce.due is not None
        assert now <= debounce.due <= now + QUIET_SECONDS
