"""The `mesh` command: its commands by name, and what becomes of their errors."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from mesh.cli import (
    alerts_command,
    analyze_command,
    breakers_command,
    compose_command,
    config_commands,
    demo_command,
    doctor_command,
    experiment_commands,
    experiment_tools,
    explain_command,
    iptables_command,
    lab_commands,
    load_command,
    log_commands,
    names_command,
    proxy_commands,
    proxy_config_commands,
    run_command,
    shadow_command,
    sidecar_command,
    stat_commands,
    status_command,
    trace_commands,
    weights_command,
    why_command,
    workload_commands,
)
from mesh.cli.errors import CliError
from mesh.cli.output import print_error
from mesh.errors import MeshError
from mesh.version import VERSION

CONFIGURE, LOOK, WATCH, RUN = "Configure the mesh", "Look into it", "Watch its traffic", "Run it"
INTERRUPTED = 130

app = typer.Typer(
    name="mesh",
    help="A service mesh on your machine: sidecars, live routing rules, Istio's API.\n\n"
    "Begin with `mesh demo`. Each command that talks to the control plane has --server; MESH_SERVER is for all of them "
    "(http://127.0.0.1:15080 if neither is set).",
    epilog="Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 no control plane.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    CONFIGURE: (
        config_commands.apply,
        config_commands.get,
        config_commands.delete,
        config_commands.diff,
        config_commands.history,
        config_commands.rollback,
    ),
    LOOK: (
        status_command.status,
        analyze_command.analyze,
        doctor_command.doctor,
        proxy_commands.proxy_status,
        workload_commands.services,
        workload_commands.workloads,
        explain_command.explain,
        why_command.why,
        weights_command.weights,
    ),
    WATCH: (
        stat_commands.stat,
        stat_commands.edges,
        stat_commands.metrics,
        log_commands.logs,
        log_commands.tap,
        log_commands.top,
        trace_commands.traces,
        trace_commands.trace,
        breakers_command.breakers,
        alerts_command.alerts,
    ),
    RUN: (
        demo_command.demo,
        load_command.load,
        run_command.bootstrap,
        sidecar_command.sidecar,
        iptables_command.iptables,
    ),
}
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.command(rich_help_panel=RUN, context_settings={"ignore_unknown_options": False})(run_command.run)
experiment_commands.app.command()(shadow_command.shadow)
experiment_commands.app.command()(names_command.dns)
app.add_typer(experiment_commands.app, rich_help_panel=experiment_tools.PANEL)
app.add_typer(proxy_config_commands.app, rich_help_panel=LOOK)
app.add_typer(proxy_config_commands.app, name="pc", hidden=True)
app.add_typer(lab_commands.app, rich_help_panel=RUN)


app.add_typer(compose_command.compose, name="compose", rich_help_panel=RUN)


@app.command(rich_help_panel=LOOK)
def version() -> None:
    """Show the version."""
    print(f"mesh {VERSION}")


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def common(
    shown: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What holds for every command. `mesh --help` shows the text above, of `app`."""


def main() -> None:
    """The console script. Errors that are meant for a person are printed as such; any other keeps its traceback."""
    try:
        app()
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
