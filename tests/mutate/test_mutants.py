"""What is changed in a source, and how a child's end is told."""

from __future__ import annotations

import ast
import os
import signal

import pytest

from tests.mutate.children import Ended, in_a_child, outcome_of
from tests.mutate.mutants import Mutant, mutants, mutated
from tests.mutate.reasons import Reasons

SOURCE = '''
MAX_NAMES: Final = 100
_ANSWER = 42
Choice = Callable[[int], "str"]

class Thing:
    """Prose."""

    def __repr__(self) -> str:
        return "thing"

    def act(self, more: bool = True) -> int:
        """Prose."""
        if self.left > 1 and more:
            self.left = 0
            log.info("acted on %s", self)
            raise ValueError("words")
        for each in self.all:
            if not each:
                break
        return index.once("a name", lambda: 1) + 1
'''


def changes(source: str) -> list[tuple[str, str]]:
    return [(mutant.qualname, mutant.change) for mutant in mutants("a.py", source)]


def test_what_matters_is_changed_and_nothing_else() -> None:
    assert changes(SOURCE) == [
        ("", "another constant than 42: _ANSWER = 42"),
        ("Thing.act", "operand 1 left out: self.left > 1 and more"),
        ("Thing.act", "operand 2 left out: self.left > 1 and more"),
        ("Thing.act", "Gt for GtE: self.left > 1"),
        ("Thing.act", "another constant than 1: if self.left > 1 and more:"),
        ("Thing.act", "statement left out: self.left = 0"),
        ("Thing.act", "another constant than 0: self.left = 0"),
        ("Thing.act", "not left out: not each"),
        ("Thing.act", "break for continue: break"),
        ("Thing.act", "Add for Sub: index.once('a name', lambda: 1) + 1"),
        ("Thing.act", "another constant than 1: return index.once('a name', lambda: 1) + 1"),
        ("Thing.act", "another constant than 1: return index.once('a name', lambda: 1) + 1 (2)"),
    ]


def test_each_change_is_made_alone() -> None:
    found = mutants("a.py", SOURCE)
    texts = {ast.unparse(mutated(SOURCE, mutant.number)) for mutant in found}
    assert len(texts) == len(found)
    assert ast.unparse(ast.parse(SOURCE)) not in texts
    assert "if more:" in ast.unparse(mutated(SOURCE, found[1].number))
    assert "self.left >= 1" in ast.unparse(mutated(SOURCE, found[3].number))


def test_a_mutant_knows_the_lines_of_its_statement() -> None:
    source = "def f():\n    if (a and\n            b):\n        return (1 +\n            2)\n"
    found = [(mutant.change.partition(":")[0], mutant.line, mutant.last) for mutant in mutants("a.py", source)]
    assert found == [
        ("operand 1 left out", 2, 3),
        ("operand 2 left out", 2, 3),
        ("Add for Sub", 4, 5),
        ("another constant than 1", 4, 5),
        ("another constant than 2", 4, 5),
    ]


@pytest.mark.parametrize(
    ("work", "ended"),
    [
        (lambda report: os.write(report, b"a\nb\n") > 0, Ended.WELL),
        (lambda report: os.write(report, b"a\nb\n") < 0, Ended.BADLY),
        (lambda report: bool(os.write(report, b"a\nb\n") // 0), Ended.BADLY),
        (lambda report: [os.write(report, b"a\nb\n"), os.kill(os.getpid(), signal.SIGPROF)] == [], Ended.NEVER),
    ],
    ids=["well", "badly", "by an error", "by its limit"],
)
def test_how_a_child_ends(work: object, ended: Ended) -> None:
    assert outcome_of(work) == (ended, "b")  # type: ignore[arg-type]


def test_what_a_child_finds_is_handed_back_and_what_it_does_is_not() -> None:
    here: list[int] = []
    assert in_a_child(lambda: [here.append(1), len(here)]) == [None, 1]
    assert here == []


def test_reasons_are_found_by_file_function_and_change() -> None:
    reasons = Reasons('[equivalent."a.py"."C.f"]\n"x: y" = "why"\n[accepted."a.py".module]\n"z: w" = "because"\n')
    one, other = Mutant("a.py", 0, 1, 1, "C.f", "x: y"), Mutant("a.py", 1, 2, 2, "", "z: w")
    assert (reasons.equivalent(one), reasons.accepted(one)) == ("why", "")
    assert (reasons.equivalent(other), reasons.accepted(other)) == ("", "because")
    assert list(reasons.stale([one])) == ["a.py module: z: w"]
