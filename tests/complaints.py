"""The complaints of users of meshes, and the tests that show what answers each: `python -m tests.complaints` writes the
last column of tests/complaints.md.

A test answers the complaints whose numbers its name begins with (`test_05_21_errors_name_their_cause`) and those of its
marker, `pytest.mark.complaint(number, …)`. Both are read off without importing any test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "tests" / "complaints.md"
COUNT = 25
_NAMED = re.compile(r"test_((?:\d\d_)+)")
_ROW = re.compile(r"\| (\d\d) \|")


def answered(root: Path = ROOT) -> dict[str, set[str]]:
    """Number, in two digits → the tests that answer it, as `folder/file.py::test`."""
    found: dict[str, set[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.complaint" in text or _NAMED.search(text):  # most have none, and parsing all takes seconds
            for test, number in _numbered(ast.parse(text)):
                place = f"{path.relative_to(root / 'tests').as_posix()}::{test}"
                found.setdefault(number, set()).add(place)
    return found


def _numbered(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if named := _NAMED.match(node.name):
                numbers = named[1].strip("_").split("_")
                yield from ((node.name, number) for number in numbers if 1 <= int(number) <= COUNT)
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.complaint":
                    yield from ((node.name, f"{ast.literal_eval(each):02}") for each in mark.args)


def numbers(page: str) -> list[str]:
    return [row[1] for line in page.splitlines() if (row := _ROW.match(line))]


def filled(page: str, found: Mapping[str, set[str]]) -> str:
    """The page with the tests of each complaint; where there is none, its row says why."""
    lines = []
    for line in page.splitlines():
        if row := _ROW.match(line):
            tests = "<br>".join(f"`{place}`" for place in sorted(found.get(row[1], ())))
            line = line[: line.rstrip("| ").rindex(" | ")] + f" | {tests} |" if tests else line
        lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), answered()), encoding="utf-8")
