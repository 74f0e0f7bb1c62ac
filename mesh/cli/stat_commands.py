"""stat, edges, metrics: how services, those who call them, and workloads do at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, print_data, print_table
from mesh.cli.watching import Window, complain, measured
from mesh.clock import SystemClock
from mesh.observe.service_stats import Row

SERVICE, SOURCE = "destination_service_name", "source_workload"
DEFAULT_WINDOW = 5


def stat(
    service: Annotated[str, typer.Argument(metavar="[SERVICE]", help="Only this one, by version.")] = "",
    window: Window = DEFAULT_WINDOW,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show how services do, as their callers' proxies see it: requests, success, latency.

    Measures for a few seconds first.
    """
    where = f'reporter="source", {SERVICE}="{service}"' if service else 'reporter="source"'
    by = (SERVICE, "destination_version") if service else (SERVICE,)
    _show(server, where, by, ("SERVICE", "VERSION")[: len(by)], window, output)


def edges(window: Window = DEFAULT_WINDOW, output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """Show who calls whom, how often, and how well."""
    _show(server, 'reporter="source"', (SOURCE, SERVICE), ("FROM", "TO"), window, output)


def metrics(
    workload: Annotated[str, typer.Argument(metavar="WORKLOAD", help="As `mesh proxy-status` names it.")],
    window: Window = DEFAULT_WINDOW,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show what a workload is asked and how it answers, as its own proxy sees it."""
    where = f'reporter="destination", destination_workload="{workload}"'
    _show(server, where, ("destination_workload",), ("WORKLOAD",), window, output)


def _show(server: str, where: str, by: tuple[str, ...], headings: Sequence[str], window: int, output: Format) -> None:
    from mesh.observe.scrape import Scraper
    from mesh.observe.service_stats import WANTED, check, rows
    from mesh.promql.series import Store

    check(where)
    clock, store = SystemClock(), Store(keep=2.0 * window + 60)
    scraper = Scraper(store, WANTED, clock)
    measured(server, scraper, window)
    found = rows(store, clock.wall(), where, by, window + 2)
    complain(scraper.errors)
    if output is not Format.TABLE:
        print_data([_data(row) for row in found], output)
        return
    cells = [[*(row.labels.get(label, "-") for label in by), *_numbers(row)] for row in found]
    print_table([*headings, "REQ/S", "SUCCESS", "P50", "P95", "P99"], cells, nothing="no requests have been seen")


def _numbers(row: Row) -> list[str]:
    return [f"{row.rate:.1f}", _share(row.success), *(_milliseconds(each) for each in (row.p50, row.p95, row.p99))]


def _data(row: Row) -> dict[str, object]:
    return {
        **row.labels,
        "requests_per_second": row.rate,
        "success": row.success,
        "p50_ms": row.p50,
        "p95_ms": row.p95,
        "p99_ms": row.p99,
    }


def _share(value: float | None) -> str:
    """Never rounded up to 100."""
    if value is None:
        return "-"
    return "100 %" if value == 1 else f"{min(value * 100, 99.99):.2f} %"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
