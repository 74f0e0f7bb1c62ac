"""What Grafana would ask for a board: its panels' queries with its variables filled in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# What Grafana puts in the place of its own variables.
BUILT_IN = {"__rate_interval": "20s", "__range": "60s", "__interval": "5s"}


def load(path: Path) -> dict[str, Any]:
    board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return board


def panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those in collapsed rows included."""
    for panel in board.get("panels", ()):
        yield panel
        yield from panels(panel)


def queries(board: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Panel with the query's letter, and expression."""
    for panel in panels(board):
        for target in panel.get("targets", ()):
            if target.get("expr"):
                yield f"{panel['title']} {target.get('refId', '')}", target["expr"]


def filled_in(expression: str, variables: Mapping[str, str]) -> str:
    """`$name` and `${name}` replaced; KeyError for a variable that nobody knows."""
    values = BUILT_IN | dict(variables)
    return re.sub(r"\$(?:\{(\w+)\}|([a-zA-Z_]\w*))", lambda found: values[found[1] or found[2]], expression)


def answered(samples: list[dict[str, Any]]) -> bool:
    """At least one number that can be drawn."""
    return any(sample["value"][1] not in ("NaN", "+Inf", "-Inf") for sample in samples)
