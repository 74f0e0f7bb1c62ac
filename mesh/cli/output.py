"""What commands print: tables that fit the terminal, YAML, JSON, messages."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from mesh.cli.errors import CliError

PIPED_WIDTH = 100_000  # a pipe has no edge: nothing is cut or wrapped


class Format(StrEnum):
    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


def console(stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else PIPED_WIDTH)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], nothing: str = "nothing found") -> None:
    """Columns without lines, as kubectl's. On a terminal long cells fold; the first column never does."""
    if not rows:
        print(nothing, file=sys.stderr)
        return
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in (headings, *rows):
            print("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    console().print(table)


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


def _style(cell: str) -> str:
    if cell in ("SYNCED", "healthy", "HEALTHY", "yes"):
        return "green"
    if cell in ("STALE", "NOT SENT"):
        return "yellow"
    return "bold red" if cell in ("NACKED", "unhealthy", "UNHEALTHY", "no") else ""
