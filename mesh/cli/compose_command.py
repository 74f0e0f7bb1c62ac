"""compose: a mesh into somebody's compose file, and out of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesh.cli.errors import CliError

if TYPE_CHECKING:
    from mesh.compose.document import Document
    from mesh.compose.inject import Result

app = typer.Typer(no_args_is_help=True, help="A mesh for a compose file of yours: inject, eject.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The compose file; - is standard input.")]
Out = Annotated[
    str, typer.Option("--out", "-o", metavar="FILE", help="Write it there; FILE itself is fine.", show_default="stdout")
]
COMMENT = "With sidecars, by `mesh compose inject`. `mesh compose eject` takes them out again."


@app.command()
def inject(
    file: File,
    out: Out = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would do.")] = False,
) -> None:
    """Give every service of a compose file a sidecar. Services keep their names, ports, health checks, networks, volumes.

    Beside each service there are two more: NAME-pod, which owns its network, and NAME-sidecar. What cannot join is said
    with the reason, and stays as it is. Doing it again changes nothing. The image has to be there: `docker build -t
    asyncmesh:local .` in a clone of the repository, or another one in MESH_IMAGE.

    \b
      mesh compose inject docker-compose.yml --dry-run
      mesh compose inject docker-compose.yml --out docker-compose.mesh.yml
      docker compose -f docker-compose.mesh.yml up --wait
    """
    from mesh.compose.inject import inject as give

    result = give(_read(file))
    if not result.joined:
        raise CliError(
            "no service of this file can join a mesh", *(f"{n}: {why}" for n, why in result.left_out.items())
        )
    stream = sys.stdout if dry_run or out else sys.stderr
    for line in report(result):
        print(line, file=stream)
    if not dry_run:
        _write(result.document, out, COMMENT)


@app.command()
def eject(file: File, out: Out = "") -> None:
    """Take the sidecars out of a compose file again: every service has the fields that it had.

    \b
      mesh compose eject docker-compose.mesh.yml --out docker-compose.yml
    """
    from mesh.compose.inject import EXTENSION
    from mesh.compose.inject import eject as take

    document = _read(file)
    if EXTENSION not in document:
        raise CliError(f"{file} has no sidecars", "that would be one that `mesh compose inject` has written")
    _write(take(document), out, "")


def report(result: Result) -> Iterator[str]:
    """What became of every service, a line each, and what there is to know."""
    width = max(map(len, (*result.joined, *result.left_out)))
    for name, found in result.joined.items():
        ports = ", ".join(f"{port} ({port.why})" for port in found.ports) or "no port"
        yield f"{name.ljust(width)}  in the mesh: {ports}"
        yield from (f"{' ' * width}  note: {note}" for note in found.notes)
    for name, why in result.left_out.items():
        yield f"{name.ljust(width)}  as it was: {why}"
    yield from (f"note: {note}" for note in result.notes)


def _read(file: Path) -> Document:
    from mesh.compose.document import load

    if str(file) == "-":
        return load(sys.stdin.read(), "stdin")
    try:
        return load(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise CliError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CliError(f"{file} is no UTF-8 text") from error


def _write(document: Document, out: str, comment: str) -> None:
    from mesh.compose.document import dump

    text = dump(document, comment)
    if not out:
        print(text, end="")
        return
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"cannot write {out}: {error.strerror}") from error
