"""Every dashboard: what can be said of its JSON, and that each of its queries has an answer in the running stack."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compose.stack import ROOT, Stack
from tests.harness.process import wait_until

DASHBOARDS = sorted((ROOT / "examples" / "grafana" / "dashboards").glob("*.json"))
# What Grafana puts in their place: its own variables, and ours when "All" is chosen.
VARIABLES = {"__rate_interval": "1m", "__range": "15m", "service": ".*"}
TRAFFIC_SECONDS = 90.0


def load(path: Path) -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return dashboard


def queries(path: Path) -> Iterator[tuple[str, str]]:
    """Panel and query."""
    for panel in load(path)["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]


def filled_in(expression: str) -> str:
    return re.sub(r"\$(?:\{(\w+)\}|([a-z_]\w*))", lambda found: VARIABLES[found[1] or found[2]], expression)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_their_own_place_and_a_title(path: Path) -> None:
    panels = load(path)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert all(panel["title"] and (panel["type"] == "row" or panel["targets"]) for panel in panels)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels if panel["type"] != "row")


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_query_has_an_answer(stack: Stack, path: Path) -> None:
    """Under traffic that has something of everything: versions, 404s, faults, changes."""
    for name in ("reviews-jason-v2.yaml", "ratings-abort-jason.yaml"):
        stack.apply(name)
    missing: dict[str, str] = {}

    def answered() -> bool:
        stack.get_many(3)
        stack.get_many(3, headers={"end-user": "jason"})
        stack.get_many(1, "/api/v1/products/7")
        missing.clear()
        missing.update((panel, query) for panel, query in queries(path) if not usable(stack.query(filled_in(query))))
        return not missing

    try:
        wait_until(answered, TRAFFIC_SECONDS, "an answer to every query")
    except AssertionError as error:
        raise AssertionError(json.dumps(missing, indent=2)) from error
    finally:
        for name in ("reviews", "ratings"):
            stack.mesh("delete", "virtualservice", name)


def usable(samples: list[dict[str, Any]]) -> bool:
    """At least one number that can be drawn."""
    return any(sample["value"][1] not in ("NaN", "+Inf", "-Inf") for sample in samples)
