from __future__ import annotations

import json

import pytest

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
