"""What commands print: tables that fit the terminal, YAML, JSON, messages."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mesh.cli.table import GAPS, cells, folded, layout, without
from mesh.xds import SyncState

if TYPE_CHECKING:
    from rich.console import Console

    from mesh.cli.errors import CliError

PIPED_WIDTH = 100_000  # a pipe has no edge: nothing is cut or wrapped
BOLD, GREEN, YELLOW, BOLD_RED = "1", "32", "33", "1;31"  # of a terminal (ECMA-48)


class Format(StrEnum):
    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


def console(stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else PIPED_WIDTH)


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    nothing: str = "nothing found",
    dispensable: Sequence[str] = (),
) -> None:
    """Columns without lines, as kubectl's. On a terminal they fit its width, if need be without the dispensable ones; a pipe
    gets each row as one line."""
    if not rows:
        print(nothing, file=sys.stderr)
        return
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else PIPED_WIDTH
    if len(shown := without(headings, dispensable, rows, width)) < len(headings):
        headings, rows = [headings[at] for at in shown], [[row[at] for at in shown] for row in rows]
    plan = layout(headings, rows, width)
    if not plan.widths:
        _print_records(headings, rows, width)
        return
    gap = " " * plan.gap
    for number, row in enumerate((headings, *rows)):
        for line in cells(row, plan.widths):
            padded = [cell.ljust(size) for cell, size in zip(line, plan.widths, strict=True)]
            padded[-1] = padded[-1].rstrip()
            styled = [_styled(cell, not number) for cell in padded] if terminal else padded
            print(gap.join(styled) if terminal else gap.join(styled).rstrip())


def _print_records(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    """For a terminal that is too narrow for the columns: a line for each cell, a blank one between rows."""
    column = max(map(len, headings)) + GAPS[-1]
    for number, row in enumerate(rows):
        if number:
            print()
        for heading, text in zip(headings, row, strict=True):
            first, *more = folded(text, max(width - column, 1))
            print(_styled(heading.ljust(column), True) + _styled(first, False))
            for line in more:
                print(" " * column + line)


def print_data(data: Any, form: Format) -> None:
    """`data` as YAML (a list becomes documents) or JSON."""
    if form is Format.JSON:
        print(json.dumps(data, indent=2))
        return
    from mesh.istio.dump import dump_data

    documents = data if isinstance(data, list) else [data]
    print("---\n".join(dump_data(document) for document in documents), end="")


def print_diff(text: str) -> None:
    """A unified diff, coloured on a terminal."""
    if not sys.stdout.isatty():
        print(text.rstrip("\n"))
        return
    from rich.syntax import Syntax

    console().print(Syntax(text.rstrip("\n"), "diff", theme="ansi_dark", background_color="default"))


def print_error(error: CliError) -> None:
    from rich.text import Text

    out = console(stderr=True)
    out.print(Text.assemble(("error: ", "bold red"), str(error)))
    for hint in error.hints:
        out.print(Text(f"  {hint}"))


def age(seconds: float | None, now: float | None = None) -> str:
    """How long ago a Unix time was, as kubectl says it: 12s, 5m, 3h, 2d."""
    if not seconds:
        return "-"
    passed = max(0, int((time.time() if now is None else now) - seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if passed >= 2 * size:
            return f"{passed // size}{unit}"
    return f"{passed}s"


def coloured(text: str, code: str) -> str:
    """In a colour, on a terminal that shows any."""
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def _styled(cell: str, heading: bool) -> str:
    code = BOLD if heading else _code(cell.strip())
    return f"\x1b[{code}m{cell}\x1b[0m" if code and "NO_COLOR" not in os.environ else cell


def _code(cell: str) -> str:
    if cell in (SyncState.SYNCED, "healthy", "HEALTHY", "yes"):
        return GREEN
    if cell in (SyncState.STALE, SyncState.NOT_SENT, "draining"):
        return YELLOW
    return BOLD_RED if cell in (SyncState.NACKED, "unhealthy", "UNHEALTHY", "lost", "no") else ""
