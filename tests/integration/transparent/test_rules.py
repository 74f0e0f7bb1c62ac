"""The rules of `mesh iptables` around an app: there while they are wanted, and nothing left behind."""

from __future__ import annotations

import sys
from subprocess import run

from tests.harness.namespaces import NOBODY, Pair, as_user
from tests.integration.transparent.conftest import ELSEWHERE, HERE, MESH


def app_calls(pair: Pair, *words: str) -> list[str]:
    client = pair.inside.command(*as_user(NOBODY), sys.executable, str(HERE / "client.py"), "exchange", *words)
    return run(client, capture_output=True, text=True, check=True).stdout.splitlines()


def test_without_a_proxy_the_rules_cut_an_app_off_and_cleaning_them_frees_it(world: Pair) -> None:
    """Set twice, they are there once; cleaned once, they are gone."""
    before = world.inside.rules()
    assert app_calls(world, ELSEWHERE, "7001", "") == ["open", "unknown here"]
    world.inside.run(*MESH, "iptables", "--apply")
    once = world.inside.rules()
    world.inside.run(*MESH, "iptables", "--apply")
    assert world.inside.rules() == once != before
    assert app_calls(world, ELSEWHERE, "7001", "") == ["refused"]
    world.inside.run(*MESH, "iptables", "--clean", "--apply")
    assert world.inside.rules() == before
    assert app_calls(world, ELSEWHERE, "7001", "") == ["open", "unknown here"]
