from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from examples.grafana.boards.__main__ import BOARDS, FOLDER, PAGE, page, rendered
from tests.harness.process import wait_until
from tests.integration.boards.conftest import Watched
from tests.integration.boards.queries import answered, filled_in, load, panels, queries

VARIABLES = {"service": "reviews", "workload": "productpage-v1", "proxy": ".*"}
ALL = {"mesh-overview": {"service": ".*"}}  # boards whose variable takes several values
ANSWER_SECONDS = 60.0
ASKED = [name for name in BOARDS if name != "logs"]


@pytest.mark.parametrize("name", BOARDS)
def test_what_is_kept_is_what_the_builder_writes(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == rendered(name)
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("name", BOARDS)
def test_grafanas_schema_knows_every_field(name: str) -> None:
    """What is read into the schema's classes and written again has all that there was: it drops what it does not know."""
    register_default_plugins()
    board = load(FOLDER / f"{name}.json")
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board)))
    assert list(_lost(board, again, "")) == []


def test_a_field_that_the_schema_does_not_know_is_noticed() -> None:
    board = load(FOLDER / "service.json")
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(board | {"tittle": "?"})))
    assert list(_lost(board | {"tittle": "?"}, again, "")) == [".tittle"]


def _lost(kept: Any, again: Any, path: str) -> Iterator[str]:
    """The paths of what is in the one and not, or otherwise, in the other."""
    if isinstance(kept, dict) and isinstance(again, dict):
        for name, value in kept.items():
            yield from _lost(value, again.get(name), f"{path}.{name}")
    elif isinstance(kept, list) and isinstance(again, list) and len(kept) == len(again):
        for number, (value, other) in enumerate(zip(kept, again, strict=True)):
            yield from _lost(value, other, f"{path}[{number}]")
    elif kept != again:
        yield path


def test_nothing_else_is_provisioned() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_a_place_of_their_own_and_a_question(name: str) -> None:
    found = [panel for panel in panels(load(FOLDER / f"{name}.json")) if panel["type"] != "row"]
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in found)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    assert all(panel["title"] and panel["description"].endswith("?") and panel["targets"] for panel in found)


@pytest.mark.complaint(17)
@pytest.mark.parametrize("name", ASKED)
def test_every_query_has_an_answer(watched: Watched, name: str) -> None:
    asked = {
        panel: filled_in(query, VARIABLES | ALL.get(name, {}))
        for panel, query in queries(load(FOLDER / f"{name}.json"))
    }
    missing: dict[str, str] = {}

    def all_answered() -> bool:
        watched.disturb()
        missing.clear()
        missing.update((panel, q) for panel, q in asked.items() if not answered(watched.prometheus.query(q)))
        return not missing

    try:
        wait_until(all_answered, ANSWER_SECONDS, "an answer to every query")
    except AssertionError as error:
        raise AssertionError(json.dumps(missing, indent=2)) from error
