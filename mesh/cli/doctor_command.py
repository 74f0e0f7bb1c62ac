"""doctor: what may keep a mesh from working, and what to do about it."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer

from mesh.cli.client import ControlPlane
from mesh.cli.errors import FAILED, CliError
from mesh.cli.options import DEFAULT_SERVER, Output, Server
from mesh.cli.output import BOLD_RED, GREEN, YELLOW, Format, coloured, print_data
from mesh.cli.table import folded
from mesh.version import VERSION

if TYPE_CHECKING:
    from mesh.doctor.check import Check

_COLOURS: Final = {"ok": GREEN, "warn": YELLOW, "fail": BOLD_RED}
_WIDTH: Final = 80
_INDENT: Final = 20


def doctor(output: Output = Format.TABLE, server: Server = DEFAULT_SERVER) -> None:
    """Look for what may keep the mesh from working: control plane, versions, proxies, clocks, ports, addresses, names,
    http_proxy, limits, iptables and Docker. Each line is ok, warn or fail, with what to do about it.

    Nothing is changed by looking. Exit code 1 when anything fails.
    """
    from dataclasses import asdict

    from mesh.doctor.check import failed

    checks = _checks(server)
    if output is Format.TABLE:
        for check in checks:
            _print(check)
    else:
        print_data([asdict(check) for check in checks], output)
    if failed(checks):
        raise typer.Exit(FAILED)


def _checks(server: str) -> Sequence[Check]:
    from mesh.doctor import machine, plane
    from mesh.doctor.facts import gather

    asked = ControlPlane(server)
    found: list[Check] = []
    answers = True
    try:
        status, proxies = asked.plane_status(), asked.proxies()
        found += plane.checks(asked.url, status, proxies, VERSION, time.time())
    except CliError as error:
        answers = False
        found.append(plane.unreachable(asked.url, str(error).rpartition(": ")[2]))
    return [*found, *machine.checks(gather(machine.PLANE_PORTS), answers)]


def _print(check: Check) -> None:
    terminal = sys.stdout.isatty()
    width = (shutil.get_terminal_size().columns if terminal else _WIDTH) - _INDENT
    first, *more = folded(check.message, max(width, 20))
    print(f"{coloured(f'{check.verdict.value:4}', _COLOURS[check.verdict.value])}  {check.name:13} {first}")
    for line in more:
        print(" " * _INDENT + line)
    for number, line in enumerate(folded(check.hint, max(width - 2, 20)) if check.hint else ()):
        print(" " * _INDENT + ("→ " if not number else "  ") + line)
