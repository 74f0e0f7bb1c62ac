"""Every query of every board has an answer in the running stack, and those behind Istio's own boards have theirs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.compose.stack import ROOT, Stack
from tests.harness.process import wait_until
from tests.integration.boards.istio_questions import questions, reason
from tests.integration.boards.queries import answered, filled_in, load, queries

# The board of the logs asks Loki, which is not in the stack.
BOARDS = sorted(path for path in (ROOT / "examples" / "grafana" / "dashboards").glob("*.json") if path.stem != "logs")
VARIABLES = {"service": "reviews", "workload": "productpage-v1", "proxy": ".*"}
ALL = {"mesh-overview": {"service": ".*"}}  # boards whose variable takes several values
TRAFFIC_SECONDS = 90.0


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_every_query_has_an_answer(stack: Stack, path: Path) -> None:
    """Under traffic that has something of everything: versions, 404s, faults, changes."""
    for name in ("reviews-jason-v2.yaml", "ratings-abort-jason.yaml", "ratings-three-state-breaker.yaml"):
        stack.apply(name)
    variables = VARIABLES | ALL.get(path.stem, {}) | {"__rate_interval": "1m", "__range": "15m"}
    missing: dict[str, str] = {}

    def all_answered() -> bool:
        stack.get_many(3)
        stack.get_many(3, headers={"end-user": "jason"})
        stack.get_many(1, "/api/v1/products/7")
        asked = {panel: filled_in(query, variables) for panel, query in queries(load(path))}
        missing.clear()
        missing.update((panel, query) for panel, query in asked.items() if not answered(stack.query(query)))
        return not missing

    try:
        wait_until(all_answered, TRAFFIC_SECONDS, "an answer to every query")
    except AssertionError as error:
        raise AssertionError(json.dumps(missing, indent=2)) from error
    finally:
        for name in ("reviews", "ratings"):
            stack.mesh("delete", "virtualservice", name)


def test_istios_boards_have_their_answers(stack: Stack) -> None:
    """All but those on the list, and but those about TCP: there is no such service in this stack (they are asked of another
    Prometheus by tests/integration/boards)."""
    asked = {title: query for title, query in questions() if not reason(query) and "TCP" not in title}
    missing: dict[str, str] = {}

    def all_answered() -> bool:
        stack.get_many(9)  # to all three versions
        stack.get_many(1, "/api/v1/products/7")
        missing.clear()
        missing.update((title, query) for title, query in asked.items() if not answered(stack.query(query)))
        return not missing

    try:
        wait_until(all_answered, TRAFFIC_SECONDS, "an answer to every question")
    except AssertionError as error:
        raise AssertionError(json.dumps(missing, indent=2)) from error
