"""breakers: circuit breakers and ejections, edge by edge, as Hystrix's and Sentinel's boards show them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, age, print_data, print_table
from mesh.cli.watching import complain, everybody, live, table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mesh.observe.breaker_states import BreakerState, Change

HEADINGS = ("CALLER", "SERVICE", "SUBSET", "HOST", "STATE", "SINCE", "WINDOW", "WHY")
CHANGES_SHOWN = 8
STYLES = {"open": "bold red", "half-open": "yellow", "closed": "green"}


def breakers(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="A live board, until Ctrl-C.")] = False,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Closed ones, too.")] = False,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Show which callers do without which services or endpoints, since when and why."""
    if watch:
        live(lambda: _board(*_asked(server)), interval=1.0)
    states, changes, errors = _asked(server)
    complain(errors)
    shown = [state for state in states if everything or state.state != "closed"]
    if output is not Format.TABLE:
        print_data([asdict(state) for state in shown], output)
        return
    print_table(HEADINGS, [_row(state) for state in shown], nothing=_nothing(states))
    for change in changes[:CHANGES_SHOWN]:
        print(_sentence(change))


def _asked(server: str) -> tuple[list[BreakerState], list[Change], dict[str, str]]:
    from mesh.observe.breaker_states import changes, states
    from mesh.observe.gather import ask

    answers = ask(everybody(server), "/breakers")
    return states(answers.found), changes(answers.found), answers.errors


def _board(states: Sequence[BreakerState], changes: Sequence[Change], errors: dict[str, str]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    rows = []
    for state in states:
        cells = _row(state)
        cells[4] = f"[{STYLES.get(state.state, '')}]{state.state}[/]"
        rows.append(cells)
    lines = [Text(_sentence(change), style=STYLES.get(change.state, "")) for change in changes[:CHANGES_SHOWN]]
    silent = [Text(f"no answer from {name}: {reason}", style="yellow") for name, reason in errors.items()]
    return Group(
        Text("circuit breakers and ejections   Ctrl-C ends it\n"), table(HEADINGS, rows), Text(""), *lines, *silent
    )


def _row(state: BreakerState) -> list[str]:
    window = f"{state.failed} of {state.requests}" if state.requests >= 0 else "-"
    host = "all" if state.whole else state.host
    return [
        state.caller,
        state.service,
        state.subset or "-",
        host,
        state.state,
        age(state.since),
        window,
        state.why or "-",
    ]


def _sentence(change: Change) -> str:
    when = time.strftime("%H:%M:%S", time.localtime(change.at))
    host = "" if change.host == "*" else f" {change.host}"
    return f"{when}  {change.caller} → {change.service}{host}  {change.state}  {change.why}".rstrip()


def _nothing(states: Sequence[BreakerState]) -> str:
    if not states:
        return "no DestinationRule asks for outlier detection or a circuit breaker"
    return f"all {len(states)} are closed (--all shows them)"
