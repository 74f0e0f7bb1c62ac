"""Columns without lines, as kubectl's, in a given width: pure, texts in and lines of cells out.

Nothing is ever cut: a cell that is too long goes on in the next line, in the widest columns first, broken where a reader
would (after `.`, `,`, `/`, `|`, `:`, a blank). Where even that has no room, each row becomes lines of `HEADING  value`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAPS: Final = (3, 2)  # between columns; the narrower one before anything is folded
NARROWEST: Final = 12  # of a column that is folded
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
    gap = GAPS[-1]
    least = [min(natural, max(NARROWEST, len(heading))) for natural, heading in zip(widths, headings, strict=True)]
    excess = sum(widths) + gap * (len(widths) - 1) - width
    while excess > 0:
        at = max(range(len(widths)), key=lambda column: widths[column] - least[column])
        if widths[at] <= least[at]:
            return Layout((), gap)
        widths[at] -= 1
        excess -= 1
    return Layout(tuple(widths), gap)


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
