"""What task groups raise, as a command's error."""

from __future__ import annotations

import pytest

from mesh.cli.errors import CliError, alone


def test_the_first_error_of_a_group_comes_alone() -> None:
    first = CliError("first", code=7)
    with pytest.raises(CliError) as raised, alone():
        raise ExceptionGroup("tasks", [ExceptionGroup("within", [first]), CliError("second")])
    assert raised.value is first
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("errors", [[ValueError("x")], [CliError("y"), ValueError("x")]])
def test_what_is_not_meant_for_a_person_stays_as_it_is(errors: list[Exception]) -> None:
    with pytest.raises(ExceptionGroup) as raised, alone():
        raise ExceptionGroup("tasks", errors)
    assert list(raised.value.exceptions) == errors


def test_an_error_that_is_alone_passes() -> None:
    with pytest.raises(CliError, match="one"), alone():
        raise CliError("one")
