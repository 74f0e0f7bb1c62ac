"""lab list, start, check, stop: guided lessons on a running mesh."""

from __future__ import annotations

import http.client
import json
import os
import re
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import FAILED, USAGE, CliError
from mesh.cli.options import DEFAULT_SERVER, Server
from mesh.cli.output import print_table

if TYPE_CHECKING:
    from mesh.lab.lessons import Lesson, Page

GATEWAY = "http://127.0.0.1:8080"
PATH = "/productpage"
PAGE_SECONDS = 20.0
WIDTH = 80
VERSION = re.compile(r'data-reviews-version="([\w.-]+)"')
NO_STARS = "Ratings service is currently unavailable"
KINDS = ("VirtualService", "DestinationRule", "ExperimentRun")

app = typer.Typer(
    name="lab",
    help="Eight guided lessons on a running mesh (mesh demo, or compose): a situation, a task, a check, a hint.\n\n"
    "`start` sets a lesson up, `check` tells whether it is solved, `stop` brings back the configuration of before.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)
Number = Annotated[str, typer.Argument(metavar="LESSON", help="Its number or its name.")]
Gateway = Annotated[str, typer.Option("--gateway", metavar="URL", envvar="MESH_GATEWAY", help="The ingress gateway.")]


@app.command("list")
def list_all() -> None:
    """Show the lessons."""
    from mesh.lab.lessons import LESSONS

    rows = [[str(index), lesson.name, lesson.title] for index, lesson in enumerate(LESSONS, 1)]
    print_table(["LESSON", "NAME", "WHAT"], rows)


@app.command()
def start(lesson: Number, server: Server = DEFAULT_SERVER) -> None:
    """Set a lesson up, and say what it is about. `stop` takes everything back that was changed since.

    \b
      mesh lab start 1
    """
    chosen, plane = _lesson(lesson), ControlPlane(server)
    state = _state()
    if state:
        raise CliError(f"the lesson {state['lesson']} is not over", "end it: mesh lab stop")
    revision = _revision(plane)
    _state_file().parent.mkdir(parents=True, exist_ok=True)
    _state_file().write_text(json.dumps({"lesson": chosen.name, "revision": revision, "server": plane.url}))
    for text in chosen.setup:
        answer = plane.apply([{"name": f"lesson {chosen.name}", "text": text}])
        plane.convergence(answer["revision"], 10)
    for paragraph in (chosen.title.upper(), chosen.story, f"Task: {chosen.task}"):
        print(textwrap.fill(paragraph, WIDTH), end="\n\n")
    print("\n".join(f"  {line}" for line in ("To look at it:", *(f"  {command}" for command in chosen.look))))
    print(f"\n  Done?  mesh lab check {chosen.name}      Stuck?  mesh lab check {chosen.name} --hint")


@app.command()
def check(
    lesson: Number,
    hint: Annotated[bool, typer.Option("--hint", help="Tell how.")] = False,
    gateway: Gateway = GATEWAY,
    server: Server = DEFAULT_SERVER,
) -> None:
    """Tell whether a lesson is solved (exit code 0), or what is missing (1). Asks for pages to find out."""
    from mesh.lab.lessons import Facts

    chosen, plane = _lesson(lesson), ControlPlane(server)
    pages = tuple(tuple(_page(gateway, headers) for _ in range(count)) for count, headers in chosen.asks)
    documents: dict[str, list[Any]] = {kind: [each["document"] for each in plane.resources(kind)] for kind in KINDS}
    missing = chosen.check(Facts(pages, documents))
    if hint:
        print(textwrap.fill(f"Hint: {chosen.hint}", WIDTH))
    if missing:
        print(textwrap.fill(f"not yet: {missing}", WIDTH))
        raise typer.Exit(FAILED)
    print("solved.  Bring back what was: mesh lab stop")


@app.command()
def stop() -> None:
    """End the lesson: the configuration is what it was before `start`."""
    state = _state()
    if not state:
        raise CliError("no lesson has been started")
    plane = ControlPlane(state["server"])
    for each in plane.resources("Experiment"):
        metadata = each["document"]["metadata"]
        plane.delete("Experiment", metadata.get("namespace", "default"), metadata["name"])
    plane.rollback(state["revision"])
    _state_file().unlink()
    print(f"the lesson {state['lesson']} is over, the configuration is that of revision {state['revision']}")


def _lesson(word: str) -> Lesson:
    from mesh.lab.lessons import LESSONS

    for index, lesson in enumerate(LESSONS, 1):
        if word in (str(index), lesson.name):
            return lesson
    raise CliError(f"there is no lesson {word}", "there are: mesh lab list", code=USAGE)


def _revision(plane: ControlPlane) -> int:
    newest = plane.history(limit=1)
    return int(newest[0]["revision"]) if newest else 0


def _page(gateway: str, headers: Mapping[str, str]) -> Page:
    from mesh.lab.lessons import Page

    host, _, port = gateway.removeprefix("http://").rstrip("/").partition(":")
    connection = http.client.HTTPConnection(host, int(port or 80), timeout=PAGE_SECONDS)
    began = time.monotonic()
    try:
        connection.request("GET", PATH, headers=dict(headers))
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        hint = "is the mesh up? mesh demo; elsewhere: --gateway"
        raise CliError(f"no page from {gateway}{PATH}: {error}", hint) from error
    finally:
        connection.close()
    found = VERSION.search(text)
    version = found[1] if found else "none"
    return Page(response.status, version, version != "none" and NO_STARS not in text, time.monotonic() - began)


def _state_file() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "asyncmesh" / "lab.json"


def _state() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_state_file().read_text())
    except (OSError, ValueError):
        return {}
    return found
