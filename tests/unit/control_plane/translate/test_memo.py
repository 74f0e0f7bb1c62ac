"""What is made again, and what is not: counted, with a dict of inputs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from control_plane.translate.memo import FORGOTTEN_AFTER, Memo


class Sheet:
    """Inputs by name, and sums of them that count how often they are made."""

    def __init__(self, **inputs: int) -> None:
        self.memo = Memo()
        self.inputs = inputs
        self.made: list[str] = []

    def set(self, name: str, value: int) -> None:
        self.inputs[name] = value
        self.memo.changed(name, value)

    def read(self, name: str) -> int:
        return self.memo.read(name, self.inputs[name])

    def value(self, name: str, make: Callable[[], int]) -> int:
        def counted() -> int:
            self.made.append(name)
            return make()

        return self.memo.once(name, counted)

    def take(self) -> list[str]:
        made, self.made = self.made, []
        return made


def test_only_what_has_read_a_changed_input_is_made_again() -> None:
    sheet = Sheet(a=1, b=2)

    def total() -> int:
        return sheet.value("a+1", lambda: sheet.read("a") + 1) + sheet.value("b+1", lambda: sheet.read("b") + 1)

    assert sheet.value("sum", total) == 5
    assert sheet.take() == ["sum", "a+1", "b+1"]
    assert sheet.value("sum", total) == 5
    assert sheet.take() == []
    sheet.set("a", 10)
    assert sheet.value("sum", total) == 14
    assert sheet.take() == ["sum", "a+1"]


def test_who_used_a_fact_that_stays_the_same_is_not_made_again() -> None:
    sheet = Sheet(a=1000)

    def even() -> bool:
        return sheet.memo.fact("even", lambda: sheet.read("a") % 2 == 0)

    assert sheet.value("word", lambda: int(even())) == 1
    sheet.set("a", 2000)
    sheet.take()
    assert sheet.value("word", lambda: int(even())) == 1
    assert sheet.take() == []
    sheet.set("a", 3)
    assert sheet.value("word", lambda: int(even())) == 0


def test_what_fails_is_tried_again() -> None:
    sheet = Sheet(a=0)
    with pytest.raises(ZeroDivisionError):
        sheet.value("inverse", lambda: 1 // sheet.read("a"))
    sheet.set("a", 1)
    assert sheet.value("inverse", lambda: 1 // sheet.read("a")) == 1


def test_tables_know_what_is_different() -> None:
    sheet = Sheet(x=1, y=2)
    names: tuple[str, ...] = ("x", "y")

    def part(name: str) -> tuple[dict[str, int], dict[str, int]]:
        sheet.made.append(name)
        value = sheet.read(name)
        return {f"{name}{n}": n for n in range(value)}, {name: 1}

    def gathered() -> tuple[dict[str, int], dict[str, int]]:
        one, other = sheet.memo.gather("all", 2, lambda: sheet.memo.read("names", names), part)
        return one, other

    first, constant = gathered()
    assert (first, constant) == ({"x0": 0, "y0": 0, "y1": 1}, {"x": 1, "y": 1})
    sheet.take()
    sheet.set("x", 3)
    second, same = gathered()
    assert sheet.take() == ["x"]
    assert second == {"x0": 0, "x1": 1, "x2": 2, "y0": 0, "y1": 1}
    assert same is constant
    assert (second.parent, second.delta) == (first, {"x1", "x2"})  # type: ignore[attr-defined]
    names = ("y", "z")
    sheet.inputs["z"] = 1
    sheet.memo.changed("names", names)
    third, _ = gathered()
    assert third == {"y0": 0, "y1": 1, "z0": 0}
    assert sheet.take() == ["z"]
    assert third.delta == {"x0", "x1", "x2", "z0"}  # type: ignore[attr-defined]


def test_what_nobody_asks_for_is_forgotten() -> None:
    sheet = Sheet(a=1)
    sheet.value("kept", lambda: sheet.read("a"))
    sheet.value("of somebody gone", lambda: sheet.value("inner", lambda: sheet.read("a")))
    assert len(sheet.memo) == 4
    for _ in range(2 * FORGOTTEN_AFTER + 2):
        sheet.memo.next_round()
        sheet.value("kept", lambda: sheet.read("a"))
    assert len(sheet.memo) == 2
    sheet.take()
    sheet.value("kept", lambda: sheet.read("a"))
    assert sheet.take() == []
