"""The table of faults and who carries their numbers: `python -m tests.faults` writes its last column.

A number is carried by `pytest.mark.fault(number)` in the source of a test, or by the `faults` of an oracle's case. Both
are read off without importing any test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "tests" / "faults.md"
SELF = Path(__file__).resolve()
_ROW = "| "


def marked(root: Path = ROOT) -> dict[str, set[str]]:
    """Number → the test files that carry it, as paths from the root."""
    found: dict[str, set[str]] = {}
    for path in sorted((root / "tests").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.fault" in text or "faults=" in text:  # most have none, and parsing all takes seconds
            for number in _numbers(ast.parse(text)):
                found.setdefault(number, set()).add(path.relative_to(root).as_posix())
    return found


def _numbers(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault":
            yield from (str(each.value) for each in node.args if isinstance(each, ast.Constant))
        elif isinstance(node, ast.keyword) and node.arg == "faults" and isinstance(node.value, ast.Tuple):
            yield from (str(each.value) for each in node.value.elts if isinstance(each, ast.Constant))


def rows(text: str) -> dict[str, list[str]]:
    """Number → the cells of its row, the number's own included."""
    cells = [[cell.strip() for cell in line.strip("|").split(" |")] for line in text.splitlines() if _is_row(line)]
    return {row[0]: row for row in cells}


def _is_row(line: str) -> bool:
    return line.startswith(_ROW) and not line.startswith("| number")


def filled(text: str, found: Mapping[str, set[str]]) -> str:
    """The page with the files that carry each number."""
    lines = []
    for line in text.splitlines():
        if _is_row(line):
            number, what, kind = rows(line).popitem()[1][:3]
            files = " ".join(f"`{path.removeprefix('tests/')}`" for path in sorted(found.get(number, ())))
            line = f"| {number} | {what} | {kind} | {files} |"
        lines.append(line)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), marked()), encoding="utf-8")
