"""docs/pushes.md: tables in Markdown, each section written by the bench that measured it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench.report import cpu_name

_HEADER: Final = """\
# What pushes cost

How long a change takes to reach all proxies and what it costs the control plane; what many services cost a proxy. Printed by
the commands that each section names; how pushes work is in [control-plane.md](control-plane.md).
"""


def put(page: Path, heading: str, text: str) -> None:
    """The page with this text under `## heading`, in place of what was there."""
    before = page.read_text() if page.exists() else _HEADER
    section = f"## {heading}\n\n{text.strip()}\n"
    known = re.compile(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    if known.search(before):
        page.write_text(known.sub(lambda _: section + "\n", before).rstrip() + "\n")
    else:
        page.write_text(f"{before.rstrip()}\n\n{section}")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def rows_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Of what happened to one control plane."""
    head = ("", "p50", "p99", "all", "CPU s", "MB sent", "RSS MB", "at most")
    return table(
        head,
        [
            (
                event,
                *(f"{row[key]:.2f}" for key in ("p50", "p99", "seconds", "cpu")),
                f"{row['sent'] / 1e6:.2f}",
                f"{row['rss']:.0f}",
                f"{row['peak']:.0f}",
            )
            for event, row in rows.items()
        ],
    )


def machine() -> str:
    """What it ran on."""
    return (
        f"On {cpu_name()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}; "
        "seconds depend on what else the machine does, CPU seconds less so.\n"
    )
