"""When memory goes back to the system."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from control_plane.ads.spare import SpareMemory, give_back


class Clock:
    """Timers that go off when they are told to."""

    def __init__(self) -> None:
        self.due: Callable[[], None] | None = None

    def later(self, seconds: float, what: Callable[[], None]) -> Clock:
        assert self.due is None, "there is one timer at a time"
        self.due = what
        return self

    def cancel(self) -> None:
        self.due = None

    def pass_by(self) -> None:
        assert self.due is not None
        what, self.due = self.due, None
        what()


def test_it_goes_back_once_after_each_time_that_something_went_on() -> None:
    clock, given = Clock(), []
    spare = SpareMemory(lambda: given.append(1), clock.later)
    for rounds in (1, 3):
        for _ in range(rounds):
            spare.stir()
            spare.stir()
            clock.pass_by()
        had = len(given)
        clock.pass_by()
        assert len(given) == had + 1
        assert clock.due is None
    assert len(given) == 2


def test_nothing_is_left_waiting_when_it_is_closed() -> None:
    clock = Clock()
    spare = SpareMemory(give_back, clock.later)
    spare.close()
    spare.stir()
    spare.close()
    assert clock.due is None


async def test_on_a_real_loop() -> None:
    given = asyncio.Event()

    def back() -> None:
        give_back()
        given.set()

    SpareMemory(back, quiet=0.01).stir()
    await asyncio.wait_for(given.wait(), 5)
