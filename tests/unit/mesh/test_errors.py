from __future__ import annotations

import pytest

from mesh.errors import ConfigError, Problem


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem("is required", "spec.hosts", "a.yaml", 3), "a.yaml:3: spec.hosts: is required"),
        (Problem("is required", "spec.hosts", "a.yaml"), "a.yaml: spec.hosts: is required"),
        (Problem("is required", "spec.hosts"), "spec.hosts: is required"),
        (Problem("broken", "", "a.yaml", 1), "a.yaml:1: broken"),
        (Problem("is required", "spec.hosts", "a.yaml", 3, 5), "a.yaml:3:5: spec.hosts: is required"),
        (Problem("broken"), "broken"),
        (Problem("broken", "", "", 7), ":7: broken"),
        (Problem("broken", "", "", 7, 2), ":7:2: broken"),
    ],
)
def test_a_problem_says_where_it_is(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_config_error_carries_every_problem() -> None:
    error = ConfigError(Problem("one"), Problem("two"))
    assert str(error) == "one\ntwo"
    assert [problem.message for problem in error.problems] == ["one", "two"]
