"""The `mesh` command: its commands by name, and what becomes of their errors. One that is named is imported alone: all of
them together take half a second, which only `mesh --help` needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Annotated, Any, Final

import typer

from mesh.cli.errors import CliError
from mesh.cli.output import print_error
from mesh.errors import MeshError
from mesh.version import VERSION

CONFIGURE, LOOK, WATCH, RUN = "Configure the mesh", "Look into it", "Watch its traffic", "Run it"
INTERRUPTED = 130

# By panel of the help, and by name: where a command is, `module.function`.
COMMANDS: Final[dict[str, dict[str, str]]] = {
    CONFIGURE: {
        "apply": "config_commands.apply",
        "get": "config_commands.get",
        "delete": "config_commands.delete",
        "diff": "config_commands.diff",
        "history": "config_commands.history",
        "rollback": "config_commands.rollback",
    },
    LOOK: {
        "status": "status_command.status",
        "analyze": "analyze_command.analyze",
        "doctor": "doctor_command.doctor",
        "proxy-status": "proxy_commands.proxy_status",
        "services": "workload_commands.services",
        "workloads": "workload_commands.workloads",
        "explain": "explain_command.explain",
        "why": "why_command.why",
        "weights": "weights_command.weights",
    },
    WATCH: {
        "stat": "stat_commands.stat",
        "edges": "stat_commands.edges",
        "metrics": "stat_commands.metrics",
        "logs": "log_commands.logs",
        "tap": "log_commands.tap",
        "top": "log_commands.top",
        "traces": "trace_commands.traces",
        "trace": "trace_commands.trace",
        "breakers": "breakers_command.breakers",
        "alerts": "alerts_command.alerts",
    },
    RUN: {
        "demo": "demo_command.demo",
        "load": "load_command.load",
        "bootstrap": "run_command.bootstrap",
        "sidecar": "sidecar_command.sidecar",
        "iptables": "iptables_command.iptables",
        "run": "run_command.run",
    },
}
# The same of what has commands of its own.
GROUPS: Final[dict[str, dict[str, str]]] = {
    LOOK: {"proxy-config": "proxy_config_commands.app", "pc": "proxy_config_commands.app"},
    RUN: {"experiment": "experiment_group.app", "lab": "lab_commands.app", "compose": "compose_command.app"},
}
SHORT: Final = frozenset({"pc"})
NAMES: Final = frozenset(name for panels in (COMMANDS, GROUPS) for commands in panels.values() for name in commands)


def assembled(wanted: Iterable[str] = NAMES) -> typer.Typer:
    """The command line with these of its commands."""
    names = frozenset(wanted)
    app = typer.Typer(
        name="mesh",
        help="A service mesh on your machine: sidecars, live routing rules, Istio's API.\n\n"
        "Begin with `mesh demo`. Each command that talks to the control plane has --server; MESH_SERVER is for all of "
        "them (http://127.0.0.1:15080 if neither is set).",
        epilog="Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 no control plane.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for panel, commands in COMMANDS.items():
        for name in [name for name in commands if name in names]:
            app.command(name, rich_help_panel=panel)(_found(commands[name]))
    for panel, groups in GROUPS.items():
        for name in [name for name in groups if name in names]:
            app.add_typer(_found(groups[name]), name=name, rich_help_panel=panel, hidden=name in SHORT)
    app.command(rich_help_panel=LOOK)(version)
    app.callback()(common)
    return app


def _found(place: str) -> Any:
    module, _, name = place.partition(".")
    return getattr(import_module(f"mesh.cli.{module}"), name)


def version() -> None:
    """Show the version."""
    print(f"mesh {VERSION}")


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


def common(
    shown: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What holds for every command. `mesh --help` shows the text above, of `assembled`."""


def main() -> None:
    """The console script. Errors that are meant for a person are printed as such; any other keeps its traceback."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        assembled((first,) if first in NAMES else NAMES)()
    except CliError as error:
        print_error(error)
        sys.exit(error.code)
    except MeshError as error:
        print_error(CliError(str(error)))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `mesh get | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
