from __future__ import annotations

import pytest

from sidecar.process.timers import Deadlines
from tests.harness.stage import ManualLoop


class Item:
    def __init__(self, deadline: float, *, fails: bool = False) -> None:
        self.deadline = deadline
        self.fails = fails
        self.told: list[float] = []

    def on_deadline(self, now: float) -> None:
        self.told.append(now)
        self.deadline = now + 1000.0
        if self.fails:
            raise ValueError("no good")


def watching(loop: ManualLoop) -> Deadlines:
    return Deadlines(loop, 0.1)  # type: ignore[arg-type]


def test_an_item_is_told_within_a_tick_of_its_deadline(loop: ManualLoop) -> None:
    deadlines, item = watching(loop), Item(loop.now + 1.0)
    deadlines.add(item)
    loop.advance(0.95)
    assert item.told == []
    loop.advance(0.2)
    assert len(item.told) == 1


def test_an_item_that_left_is_not_told(loop: ManualLoop) -> None:
    deadlines = watching(loop)
    one, other = Item(loop.now + 1.0), Item(loop.now + 1.0)
    deadlines.add(one)
    deadlines.add(other)
    deadlines.remove(one)
    loop.advance(2.0)
    assert (len(one.told), len(other.told)) == (0, 1)


class Killer(Item):
    """Ends the watch of everything when it is told."""

    def __init__(self, deadline: float, deadlines: Deadlines, others: list[Item]) -> None:
        super().__init__(deadline)
        self.deadlines, self.others = deadlines, others

    def on_deadline(self, now: float) -> None:
        super().on_deadline(now)
        for other in self.others:
            self.deadlines.remove(other)


def test_an_item_may_end_the_watch_of_another_one(loop: ManualLoop) -> None:
    deadlines = watching(loop)
    items: list[Item] = []
    items += [Killer(loop.now, deadlines, items), Killer(loop.now, deadlines, items)]
    for item in items:
        deadlines.add(item)
    loop.advance(1.0)
    assert sorted(len(item.told) for item in items) == [0, 1]


def test_nothing_to_watch_is_no_timer(loop: ManualLoop) -> None:
    deadlines, item = watching(loop), Item(loop.now + 1.0)
    deadlines.add(item)
    deadlines.remove(item)
    loop.advance(1.0)
    assert loop.timers == []
    deadlines.add(item)
    assert len(loop.timers) == 1


def test_an_item_that_fails_takes_nobody_with_it(loop: ManualLoop) -> None:
    deadlines = watching(loop)
    good, bad = Item(loop.now + 1.0), Item(loop.now + 0.5, fails=True)
    deadlines.add(good)
    deadlines.add(bad)
    with pytest.raises(ValueError, match="no good"):
        loop.advance(0.7)
    loop.advance(1.0)
    assert (len(good.told), len(bad.told), len(deadlines)) == (1, 1, 1)
