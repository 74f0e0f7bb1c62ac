"""The rules as text; that they work is shown in a network namespace, in tests/integration/cli."""

from __future__ import annotations

import os

import pytest

from mesh.cli.iptables_command import Capture, clean_script, restore_input, rules, setup_script
from tests.unit.mesh.cli.conftest import Mesh


def test_the_proxy_is_let_out_before_anything_is_redirected() -> None:
    output = [rule for rule in rules(Capture()) if rule.startswith("-A ISTIO_OUTPUT")]
    assert output == [
        "-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN",
        "-A ISTIO_OUTPUT -d 127.0.0.0/8 -j RETURN",
        "-A ISTIO_OUTPUT -j ISTIO_REDIRECT",
    ]


def test_excluded_ports_and_ranges_come_first() -> None:
    made = rules(Capture(exclude_inbound=(22,), exclude_outbound=(5432,), exclude_cidrs=("10.0.0.0/8",)))
    inbound = [rule for rule in made if rule.startswith("-A ISTIO_INBOUND")]
    output = [rule for rule in made if rule.startswith("-A ISTIO_OUTPUT")]
    assert inbound == [
        "-A ISTIO_INBOUND -p tcp --dport 22 -j RETURN",
        "-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT",
    ]
    assert output[:2] == [
        "-A ISTIO_OUTPUT -p tcp --dport 5432 -j RETURN",
        "-A ISTIO_OUTPUT -d 10.0.0.0/8 -j RETURN",
    ]


def test_nothing_of_others_is_touched() -> None:
    for script in (setup_script(Capture()), clean_script(), restore_input(Capture())):
        for line in script.splitlines():
            if " -F " in line or " -X " in line or line.startswith(":"):
                assert "ISTIO_" in line
    assert "--noflush" in setup_script(Capture())


def test_options(mesh: Mesh) -> None:
    result = mesh("iptables", "-p", "1", "-z", "2", "-u", "3", "-d", "22, 80", "-o", "5432", "-x", "10.0.0.0/8")
    assert result.code == 0
    for part in ("--to-ports 1\n", "--to-ports 2\n", "--uid-owner 3 ", "--dport 22 ", "--dport 80 ", "--dport 5432 "):
        assert part in result.out
    assert mesh("iptables", "-d", "x").code == 2
    assert "-X ISTIO_OUTPUT" in mesh("iptables", "--clean").out


def test_apply_needs_root(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = mesh("iptables", "--apply")
    assert result.code == 1
    assert "needs root" in result.err
