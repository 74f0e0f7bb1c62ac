"""`mesh experiment`: all of its commands, those that need a control plane and those that do not."""

from __future__ import annotations

from mesh.cli.experiment_commands import app
from mesh.cli.experiment_tools import import_file, plan, simulate
from mesh.cli.names_command import dns
from mesh.cli.shadow_command import shadow

__all__ = ["app"]

for command in (plan, simulate, shadow, dns):
    app.command()(command)
app.command("import")(import_file)
