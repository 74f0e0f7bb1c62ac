"""An explanation as text, in lines that a terminal has room for."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from mesh.explain.steps import Explanation, Step

STATION = 15  # the width of the first column
POLICIES = frozenset(("timeout", "retries", "balancing", "connecting", "breaker", "ejection"))
MARKS = {True: "√", False: "×", None: " "}


def text(explained: Explanation, width: int = 80) -> list[str]:
    """The steps, one below the other, and what comes of them."""
    return [*text_of_steps(explained.steps, width), "", *_folded("→ ", explained.outcome, width)]


def text_of_steps(steps: Iterable[Step], width: int = 80) -> list[str]:
    """Steps, one below the other."""
    return [line for step in steps for line in _step(step, width, 0)]


def _step(step: Step, width: int, depth: int) -> Iterator[str]:
    first = "  " * depth + step.station
    head = f"{first:<{STATION}} {MARKS[step.passed]} "
    by_default = step.station in POLICIES and step.origin is None
    yield from _folded(head, f"{step.says} (default)" if by_default else step.says, width)
    if step.origin is not None:
        yield from _folded(" " * (STATION + 3) + "└ ", str(step.origin), width)
    for each in step.steps:
        yield from _step(each, width, depth + 1)


def _folded(head: str, words: str, width: int) -> list[str]:
    """Words behind a head; what does not fit goes on below, at the same place."""
    room = max(width - len(head), 20)
    lines = textwrap.wrap(words, room, break_on_hyphens=False, break_long_words=True) or [""]
    indent = " " * len(head)
    return [((head if not number else indent) + line).rstrip() for number, line in enumerate(lines)]
