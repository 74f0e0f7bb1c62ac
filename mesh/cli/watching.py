"""What commands that look into a running mesh have in common: whom to ask, asking twice, and a live view."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from mesh.cli.client import ControlPlane, parse_server
from mesh.cli.errors import CliError
from mesh.naming import CONTROL_METRICS_PORT
from mesh.observe.targets import Target, targets

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mesh.observe.scrape import Scraper

INTERVAL_SECONDS: Final = 2.0

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")]
Window = Annotated[int, typer.Option("--window", metavar="SECONDS", min=2, max=300, help="Over how long to measure.")]


def everybody(server: str) -> tuple[Target, ...]:
    """All proxies that the control plane knows, and the control plane."""
    host, _ = parse_server(server)
    return targets(ControlPlane(server).proxies(), (host, CONTROL_METRICS_PORT))


def measured(server: str, scraper: Scraper, seconds: float) -> None:
    """Scrapes now and after `seconds`, so that rates can be told. CliError when no proxy answers."""
    found = everybody(server)
    scraper.scrape(found)
    if len(scraper.errors) >= len(found) - 1:
        raise CliError("no proxy answers", *(f"{name}: {reason}" for name, reason in scraper.errors.items()))
    time.sleep(seconds)
    scraper.scrape(found)


def complain(errors: dict[str, str]) -> None:
    """Says on stderr who did not answer: what is shown is not all."""
    for name, reason in sorted(errors.items()):
        print(f"no answer from {name}: {reason}", file=sys.stderr)


def live(render: Callable[[], RenderableType], interval: float = INTERVAL_SECONDS) -> None:
    """Shows `render()` anew each interval until Ctrl-C."""
    from rich.live import Live

    with Live(auto_refresh=False, screen=sys.stdout.isatty()) as view:
        while True:
            view.update(render(), refresh=True)
            time.sleep(interval)


def table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()
) -> RenderableType:
    """Columns without lines, for a live view."""
    from rich.table import Table

    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for index, heading in enumerate(headings):
        found.add_column(heading, justify="right" if index in right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        found.add_row(*row)
    return found
