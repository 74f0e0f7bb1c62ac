"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from mesh.cli.output import Format
from mesh.naming import CONSOLE_PORT

DEFAULT_SERVER = f"http://127.0.0.1:{CONSOLE_PORT}"
DEFAULT_NAMESPACE = "default"

Server = Annotated[
    str, typer.Option("--server", "-s", envvar="MESH_SERVER", metavar="URL", help="The control plane's HTTP API.")
]
Files = Annotated[
    list[str],
    typer.Option("--file", "-f", metavar="FILE", help="A file, a folder, or - for standard input. Repeatable."),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-R", help="Look into the folders of a folder, too.")]
Output = Annotated[Format, typer.Option("--output", "-o", help="How to print.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", metavar="NAME", help="Only this namespace.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Return when every proxy that it concerns has taken it.")]
WaitSeconds = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long --wait waits.")]
