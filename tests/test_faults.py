"""Every fault of the table has a test that carries its number, and every number that a test carries is in the table."""

from __future__ import annotations

import pytest

from tests.faults import PAGE, filled, marked, rows

# Those whose test is still to come. Nothing is ever added here.
NOT_YET: set[str] = set()


def test_every_fault_has_its_test() -> None:
    assert not rows(PAGE.read_text()).keys() - marked().keys() - NOT_YET


def test_every_number_that_a_test_carries_is_in_the_table() -> None:
    found = marked()
    unknown = {number: found[number] for number in found.keys() - rows(PAGE.read_text()).keys()}
    assert not unknown, "a fault has a row in tests/faults.md"


@pytest.mark.parametrize("again", [False, True])
def test_the_last_column_is_written(again: bool) -> None:
    page = "# x\n\n| number | what | kind | tests |\n|---|---|---|---|\n| 1 | a | b | |\n| F:x.py:1 | c | d | |\n"
    once = filled(page, {"1": {"tests/b.py", "tests/a.py"}})
    page = filled(once, {"1": {"tests/b.py", "tests/a.py"}}) if again else once
    assert rows(page) == {"1": ["1", "a", "b", "`a.py` `b.py`"], "F:x.py:1": ["F:x.py:1", "c", "d", ""]}
