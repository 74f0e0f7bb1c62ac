"""experiment run, list, watch, stop, promote, pause, resume, report: experiments that run in the control plane."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import FAILED, CliError, NoAnswerError, RefusedError, UnreachableError
from mesh.cli.files import read_files
from mesh.cli.options import DEFAULT_NAMESPACE, DEFAULT_SERVER, Output, Server
from mesh.cli.output import Format, print_data, print_table

if TYPE_CHECKING:
    from mesh.cli.experiment_agent import Agent

KIND = "Experiment"
EXPECTED, LESSON = "mesh.asyncmesh.io/expected", "mesh.asyncmesh.io/lesson"
LOOK_SECONDS = 1.0
SOON_SECONDS = 0.2
ENDED = ("promoted", "rolled back", "finished", "stopped")
GOOD = ("promoted", "finished")

app = typer.Typer(
    name="experiment",
    help="Traffic experiments: a question, an answer with its uncertainty, and nobody hurt.\n\n"
    "An experiment is a YAML file (kind: Experiment). `run` applies it and watches; it runs in the control plane, so "
    "that it goes on without this terminal. `plan` tells beforehand how many requests it takes.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As in its metadata.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Where it is.")]
Reason = Annotated[str, typer.Option("--reason", "-m", metavar="TEXT", help="Stands in the report.")]


class ReportFormat(StrEnum):
    HTML = "html"
    MARKDOWN = "markdown"
    JSON = "json"


@app.command()
def run(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The experiment's YAML, - for stdin.")],
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Begin it, and return.")] = False,
    no_tui: Annotated[bool, typer.Option("--no-tui", help="Plain lines, no live view.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Begin an experiment and watch it to its end. Exit code 0: promoted or finished, 1: rolled back or stopped.

    One of that name that is over begins anew. Faults of this machine (processes, connections) are this command's doing:
    they end with their time, or with it.

    \b
      mesh experiment run examples/experiments/reviews-v3.yaml
      mesh experiment report reviews-v3 > report.html
    """
    from mesh.cli.experiment_agent import agent_for
    from mesh.istio.load import load

    plane = ControlPlane(server)
    files = read_files([file], recursive=False)
    given = [each for text in files for each in load(text["text"], text["name"]) if each.key.kind == KIND]
    if not given:
        raise CliError(f"{file}: has no Experiment")
    for each in given:
        _clear(plane, each.key.namespace, each.key.name)
    plane.apply(files)
    for each in given:
        namespace, name = each.key.namespace, each.key.name
        print(f"experiment/{name} begins", flush=True)
        agent = agent_for(plane, namespace, name, each.spec, lambda line: print(line, flush=True))
        if agent is not None and detach:
            raise CliError(f"{name} breaks something of this machine: it needs this command", "without --detach")
        if not detach:
            found = _watch(plane, namespace, name, no_tui or agent is not None, agent)
            _tell_lesson(found)
            if found["phase"] not in GOOD:
                raise typer.Exit(FAILED)


@app.command("list")
def list_all(output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """Show all experiments and how they stand."""
    found = ControlPlane(server).experiments()
    if output is not Format.TABLE:
        print_data(found, output)
        return
    rows = [
        [each["name"], each["target"], f"{each['candidate_name']} against {each['baseline_name']}", each["strategy"],
         each["phase"], each["reason"] or each["next"]]
        for each in found
    ]  # fmt: skip
    print_table(["NAME", "HOST", "VERSIONS", "STRATEGY", "PHASE", "WHY"], rows, nothing="no experiments yet")


@app.command()
def watch(
    name: Name,
    namespace: Namespace = DEFAULT_NAMESPACE,
    no_tui: Annotated[bool, typer.Option("--no-tui", help="Plain lines, no live view.")] = False,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Watch an experiment: split, success and latency of both versions with their intervals, decisions and grounds."""
    _watch(ControlPlane(server), namespace, name, no_tui)


@app.command()
def stop(
    name: Name, namespace: Namespace = DEFAULT_NAMESPACE, reason: Reason = "", server: Server = DEFAULT_SERVER
) -> None:
    """End an experiment: everything as it was before it."""
    _act(server, namespace, name, "stop", reason)


@app.command()
def promote(
    name: Name, namespace: Namespace = DEFAULT_NAMESPACE, reason: Reason = "", server: Server = DEFAULT_SERVER
) -> None:
    """Agree to the stage that waits for it; where none does, send everything to the candidate and end."""
    _act(server, namespace, name, "promote", reason)


@app.command()
def pause(
    name: Name, namespace: Namespace = DEFAULT_NAMESPACE, reason: Reason = "", server: Server = DEFAULT_SERVER
) -> None:
    """Leave routes as they are, and decide nothing until `resume`."""
    _act(server, namespace, name, "pause", reason)


@app.command()
def resume(name: Name, namespace: Namespace = DEFAULT_NAMESPACE, server: Server = DEFAULT_SERVER) -> None:
    """Go on after a pause; routes that somebody has changed meanwhile become the experiment's again."""
    _act(server, namespace, name, "resume", "")


@app.command()
def report(
    name: Name,
    namespace: Namespace = DEFAULT_NAMESPACE,
    output: Annotated[ReportFormat, typer.Option("--output", "-o", help="How.")] = ReportFormat.HTML,
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="Where to.", show_default="standard output")
    ] = "",
    server: Server = DEFAULT_SERVER,
) -> None:
    """Write the report: question, setup, timeline, plots, numbers, and what would reproduce it, in one file.

    \b
      mesh experiment report reviews-v3 -f report.html
      mesh experiment report reviews-v3 -o markdown
    """
    plane = ControlPlane(server)
    found = plane.experiment(namespace, name)
    text = _report(found, output, plane)
    if not file:
        sys.stdout.write(text)
        return
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{file}: cannot be written: {error.strerror}") from error
    print(f"{file}: the report of {name}, {len(text) // 1024 + 1} KiB")


def _report(found: dict[str, Any], output: ReportFormat, plane: ControlPlane) -> str:
    from mesh.cli.experiment_environment import environment
    from mesh.istio.dump import dump_data

    facts = environment(plane)
    source = dump_data(found["document"])
    if output is ReportFormat.JSON:
        return json.dumps({**found, "environment": facts}, indent=2) + "\n"
    if output is ReportFormat.MARKDOWN:
        from mesh.experiments.report.markdown import markdown

        return markdown(found, facts, source)
    from mesh.experiments.report.html import html

    return html(found, facts, source)


def _tell_lesson(found: dict[str, Any]) -> None:
    """What a game day teaches, and what was to be expected."""
    notes = found["document"]["metadata"].get("annotations") or {}
    if expected := notes.get(EXPECTED):
        print(f"expected: {expected}")
    if lesson := notes.get(LESSON):
        print(f"\n{lesson.rstrip()}")


def _clear(plane: ControlPlane, namespace: str, name: str) -> None:
    """An experiment of that name that is over makes way."""
    there = {(each["namespace"], each["name"]): each["phase"] for each in plane.experiments()}
    if there.get((namespace, name)) not in ENDED:
        return
    plane.delete(KIND, namespace, name)
    while plane.resources("ExperimentRun", namespace, name):
        time.sleep(SOON_SECONDS)


def _act(server: str, namespace: str, name: str, action: str, reason: str) -> None:
    try:
        answer = ControlPlane(server).experiment_action(namespace, name, action, reason)
    except RefusedError as error:
        raise CliError(*error.problems) from error
    print(f"experiment/{name}: {answer['done']}")


def _watch(plane: ControlPlane, namespace: str, name: str, no_tui: bool, agent: Agent | None = None) -> dict[str, Any]:
    """Until it has ended; its last state."""

    def look(show: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        while True:
            try:
                found: dict[str, Any] = plane.experiment(namespace, name)
            except (UnreachableError, NoAnswerError):
                if agent is None or not agent.patient:
                    raise
                time.sleep(LOOK_SECONDS)
                continue
            show(found)
            if found["phase"] in ENDED:
                return found
            if agent is not None:
                agent.step(found)
            time.sleep(LOOK_SECONDS if agent is None else SOON_SECONDS)

    try:
        return _shown(look, no_tui)
    finally:
        if agent is not None:
            agent.close()


def _shown(look: Callable[[Callable[[dict[str, Any]], None]], dict[str, Any]], no_tui: bool) -> dict[str, Any]:
    from mesh.cli.experiment_view import lines, picture

    if no_tui or not sys.stdout.isatty():
        seen: set[str] = set()

        def show(found: dict[str, Any]) -> None:
            for line in lines(found):
                if line not in seen:
                    seen.add(line)
                    print(line, flush=True)

        return look(show)
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(highlight=False), auto_refresh=False) as view:
        return look(lambda found: view.update(picture(found), refresh=True))
