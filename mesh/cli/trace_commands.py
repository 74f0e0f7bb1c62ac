"""trace, traces: what a request did on its way, from the spans that the proxies still have; no collector is needed."""

from __future__ import annotations

import shutil
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.errors import CliError
from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, print_data, print_table
from mesh.cli.watching import complain, everybody

if TYPE_CHECKING:
    from mesh.observe.waterfall import Trace

SPANS = 1000  # a proxy keeps no more


class Order(StrEnum):
    NEWEST = "newest"
    SLOWEST = "slowest"


def traces(
    service: Annotated[str, typer.Option("--service", metavar="NAME", help="Only those that it had a part in.")] = "",
    errors: Annotated[bool, typer.Option("--errors", metavar="", help="Only those in which something failed.")] = False,
    sort: Annotated[Order, typer.Option("--sort", help="Which ones first.")] = Order.NEWEST,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many.")] = 20,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """List the traces of the last requests; `mesh trace ID` draws one."""
    found = [trace for trace in _gathered(server) if _has(trace, service) and (trace.failed or not errors)]
    if sort is Order.SLOWEST:
        found.sort(key=lambda trace: -trace.milliseconds)
    if output is not Format.TABLE:
        print_data([_data(trace) for trace in found[:limit]], output)
        return
    rows = [
        [
            trace.trace_id,
            f"{trace.milliseconds:.1f} ms",
            str(len(trace.hops)),
            "yes" if trace.failed else "",
            trace.roots[0].name.replace(".svc.cluster.local", "") if trace.roots else "-",
        ]
        for trace in found[:limit]
    ]
    print_table(["TRACE", "TIME", "SPANS", "FAILED", "BEGAN WITH"], rows, nothing="no proxy has spans of such requests")


def trace(
    wanted: Annotated[str, typer.Argument(metavar="ID", help="A request id or a trace id.")],
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as one HTML file instead.")
    ] = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Draw what became of one request: each hop, how it ended, how long it took."""
    from mesh.observe import waterfall

    matching = [each for each in _gathered(server) if wanted in (each.trace_id, each.request_id)]
    if not matching:
        raise CliError(
            f"no proxy has spans of {wanted}",
            "each keeps its last thousand; requests that are not sampled have none (see `mesh traces`)",
        )
    found = matching[0]
    if page is not None:
        page.write_text(waterfall.page(found), encoding="utf-8")
        print(page)
    elif output is not Format.TABLE:
        print_data(_data(found), output)
    else:
        width = min(120, shutil.get_terminal_size((80, 24)).columns)
        print(f"trace {found.trace_id}   {found.milliseconds:.1f} ms   request id {found.request_id or '-'}")
        print("\n".join(waterfall.text(found, width)))


def _gathered(server: str) -> list[Trace]:
    from mesh.observe.gather import ask
    from mesh.observe.waterfall import traces as of

    answers = ask(everybody(server), f"/traces?limit={SPANS}")
    complain(answers.errors)
    return of(answers.found)


def _has(found: Trace, service: str) -> bool:
    return not service or any(hop.pod == service or hop.pod.startswith(f"{service}-") for hop in found.hops)


def _data(found: Trace) -> dict[str, object]:
    from mesh.observe.waterfall import in_order

    return {
        "trace_id": found.trace_id,
        "request_id": found.request_id,
        "milliseconds": found.milliseconds,
        "failed": found.failed,
        "spans": [
            {
                "depth": depth,
                "pod": hop.pod,
                "name": hop.name,
                "kind": hop.kind,
                "milliseconds": hop.milliseconds,
                "error": hop.error,
                "attributes": dict(hop.attributes),
            }
            for depth, hop in in_order(found.roots)
        ],
    }
