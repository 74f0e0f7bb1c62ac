"""Columns without lines, as kubectl's, in a given width: pure, texts in and lines of cells out.

Nothing is ever cut: a cell that is too long goes on in the next line, in the widest columns first, broken where a reader
would (after `.`, `,`, `/`, `|`, `:`, a blank), and within a word only if that has no room. Where even that has none, each
row becomes lines of `HEADING  value`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAPS: Final = (3, 2)  # between columns; the narrower one before anything is folded
NARROWEST: Final = 12  # of a column that is folded
LONGEST_WORD: Final = 24  # that a column is kept wide for
_PIECES: Final = re.compile(r"[^ .,/|:;]*[ .,/|:;]?")


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide each column is; no columns: a line for each cell."""

    widths: tuple[int, ...]
    gap: int


def layout(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Layout:
    """The widths at which the table is at most `width` wide."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for gap in GAPS:
        if sum(widths) + gap * (len(widths) - 1) <= width:
            return Layout(tuple(widths), gap)
    room = width - GAPS[-1] * (len(widths) - 1)
    for limits in (_least(headings, rows, by_word=True), _least(headings, rows, by_word=False)):
        widths = _narrowed(widths, limits, room)
        if sum(widths) <= room:
            return Layout(tuple(widths), GAPS[-1])
    return Layout((), GAPS[-1])


def without(
    headings: Sequence[str], dispensable: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> list[int]:
    """The columns to show: of the dispensable ones as many, the first last, as words need not be broken for."""
    shown = list(range(len(headings)))
    least = _least(headings, rows, by_word=True)
    for name in reversed(dispensable):
        if sum(least[at] for at in shown) + GAPS[-1] * (len(shown) - 1) <= width:
            break
        shown.remove(headings.index(name))
    return shown


def _least(headings: Sequence[str], rows: Sequence[Sequence[str]], *, by_word: bool) -> list[int]:
    """How narrow each column may get: no narrower than its longest word, or else so that a word has to be broken."""
    least = []
    for heading, *texts in zip(headings, *rows, strict=True):
        narrow = min(max(map(len, (heading, *texts))), max(NARROWEST, len(heading)))
        least.append(max(narrow, *map(_longest_word, (heading, *texts))) if by_word else narrow)
    return least


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widest columns narrowed, one by one, until all have room or none may be narrower."""
    narrowed = list(widths)
    for _ in range(sum(widths) - room):
        at = max(range(len(narrowed)), key=lambda column: narrowed[column] - least[column])
        if narrowed[at] <= least[at]:
            break
        narrowed[at] -= 1
    return narrowed


def _longest_word(text: str) -> int:
    return min(LONGEST_WORD, max(len(piece.rstrip()) for piece in _PIECES.findall(text)))


def folded(text: str, width: int) -> list[str]:
    """The text in lines of at most `width`."""
    lines = [""]
    for piece in _PIECES.findall(text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines.append(lines[-1][width:])
            lines[-2] = lines[-2][:width]
    return [line.rstrip() for line in lines]


def cells(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """The lines of a row, each with a cell for every column."""
    columns = [folded(text, width) for text, width in zip(row, widths, strict=True)]
    height = max(map(len, columns))
    padded = [[*column, *[""] * (height - len(column))] for column in columns]
    return [list(line) for line in zip(*padded, strict=True)]
