"""The commands by name: each is where the table says, is named as its function is, and is imported alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from mesh.cli.main import COMMANDS, GROUPS, NAMES, SHORT, assembled
from tests.unit.mesh.cli.conftest import Mesh


def test_every_command_is_there() -> None:
    app = assembled()
    commands = {each.name: each.callback for each in app.registered_commands}
    groups = {each.name for each in app.registered_groups}
    assert commands.keys() | groups == NAMES | {None}  # `version`, by its function's name
    for places in COMMANDS.values():
        for name, place in places.items():
            assert place.endswith(f".{name.replace('-', '_')}")
            assert commands[name].__name__ == name.replace("-", "_")  # type: ignore[union-attr]


@pytest.mark.parametrize("name", sorted(name for groups in GROUPS.values() for name in groups))
def test_a_group_has_commands(name: str) -> None:
    (group,) = assembled([name]).registered_groups
    assert isinstance(group.typer_instance, typer.Typer)
    assert len(group.typer_instance.registered_commands) >= 2
    assert group.hidden == (name in SHORT)


def test_one_command_imports_no_other() -> None:
    code = (
        "import sys; from mesh.cli.main import assembled; assembled(['get']); "
        "print(sorted(m for m in sys.modules if m.startswith('mesh.cli.') and m.endswith(('_command', '_commands'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['mesh.cli.config_commands']\n"


def test_a_slip_is_told_of_all_commands(mesh: Mesh) -> None:
    done = mesh("stauts")
    assert done.code == 2
    assert "Did you mean" in done.err and "status" in done.err
