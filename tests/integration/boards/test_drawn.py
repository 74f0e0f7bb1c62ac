"""A board without Grafana: every panel is drawn, with data of a live mesh."""

from __future__ import annotations

import re

import pytest

from examples.grafana import draw
from examples.grafana.boards.__main__ import BOARDS, FOLDER
from tests.harness.process import wait_until
from tests.integration.boards.conftest import Watched
from tests.integration.boards.queries import load, panels

DRAWN_SECONDS = 90.0


@pytest.mark.parametrize("name", [name for name in BOARDS if name != "logs"])
def test_every_panel_is_drawn(watched: Watched, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    service = [] if name == "mesh-overview" else ["--variable", "service=reviews"]
    words = [name, "--prometheus", watched.prometheus.url, "--minutes", "2", "--variable", "workload=productpage-v1"]

    def page() -> str:
        watched.disturb()
        draw.main([*words, *service])
        found = capsys.readouterr().out
        return found if "no data" not in found else ""

    page_text = wait_until(page, DRAWN_SECONDS, "data in every panel")
    titles = [panel["title"] for panel in panels(load(FOLDER / f"{name}.json"))]
    assert re.findall(r"<h2>(.*?)</h2>", page_text) == titles
    kinds = {"stat": 'class="stat"', "timeseries": "<polyline", "state-timeline": "<rect", "table": "<td>"}
    for panel in panels(load(FOLDER / f"{name}.json")):
        assert kinds.get(panel["type"], "") in page_text
