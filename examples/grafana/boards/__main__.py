"""`python -m examples.grafana.boards` writes every board, and the page that lists their panels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder

from examples.grafana.boards import breakers, control_plane, experiment, logs, mesh, service, sidecar, workload

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "examples" / "grafana" / "dashboards"
PAGE = ROOT / "docs" / "boards.md"
BOARDS: dict[str, Callable[[], Dashboard]] = {
    "mesh-overview": mesh.build,
    "service": service.build,
    "workload": workload.build,
    "breakers": breakers.build,
    "experiment": experiment.build,
    "control-plane": control_plane.build,
    "sidecars": sidecar.build,
    "logs": logs.build,
}


def rendered(name: str) -> str:
    """The board's JSON as it is kept, with an id for every panel."""
    board: dict[str, Any] = json.loads(JSONEncoder().encode(BOARDS[name]().build()))
    for number, panel in enumerate(board["panels"], start=1):
        panel["id"] = number
    return json.dumps(board, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def page() -> str:
    """docs/boards.md: each panel and the question that it answers."""
    return "\n".join(_page()) + "\n"


_WITHOUT = """
Without Grafana, `python -m examples.grafana.draw BOARD --prometheus URL > board.html` draws a board from the same file.
These two are of one run of `mesh demo`: reviews was split 90 to 10 at 14:52, ratings failed for one user from 14:53 on,
and at 14:56 its app hung, until the breakers of its callers opened.

![The mesh board of that run](pictures/board-mesh.png)

![The breaker board of that run](pictures/board-breakers.png)"""


def _page() -> Iterator[str]:
    yield "# Boards for Grafana"
    yield ""
    yield "Written by `python -m examples.grafana.boards`. Compose provisions them; elsewhere import the files of"
    yield "`examples/grafana/dashboards`. Each panel answers a question. Every query is asked of a real Prometheus by the"
    yield "tests, but for those of the last board, which need Loki."
    yield from _WITHOUT.splitlines()
    for name in BOARDS:
        board = json.loads(rendered(name))
        yield from (
            "",
            f"## {board['title']} (`{name}.json`)",
            "",
            board["description"],
            "",
            "| panel | question |",
            "|---|---|",
        )
        yield from (
            f"| {panel['title']} | {panel['description']} |" for panel in board["panels"] if panel["type"] != "row"
        )


def main() -> None:
    for name in BOARDS:
        (FOLDER / f"{name}.json").write_text(rendered(name), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
