"""A cell that nothing writes to reads a false zero: every one that is declared has a writer somewhere in `sidecar/`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import sidecar
from sidecar.telemetry.registry import Group, layout
from sidecar.telemetry.stats import ClusterStats, HttpStats, ListenerStats, TcpStats

ROOT = Path(sidecar.__file__).parent
# Whose cells the code of a place writes to, first match first; the same name means different cells in different groups.
PLACES: tuple[tuple[str, tuple[type[Group], ...]], ...] = (
    ("balancer/", (ClusterStats,)),
    ("listener/tcp.py", (TcpStats, ClusterStats)),
    ("listener/", (ListenerStats,)),
    ("codec/h1_client.py", (ClusterStats,)),
    ("codec/h1_closing.py", (HttpStats,)),
    ("codec/h1_server.py", (HttpStats,)),
    ("http/", (HttpStats,)),
    ("filters/", (HttpStats,)),
    ("forward/", (HttpStats, ClusterStats)),
    ("upstream/", (ClusterStats,)),
)


def named(tree: ast.AST) -> tuple[set[str], tuple[str, ...]]:
    """Attributes that are used, and beginnings of names that are put together."""
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    beginnings = tuple(
        node.values[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        and isinstance(node.values[0], ast.Constant)
        and isinstance(node.values[0].value, str)
        and node.values[0].value.startswith("ejections_")
    )
    return attributes, beginnings


def own_methods(group: type[Group]) -> ast.AST:
    """The group's class in stats.py."""
    module = ast.parse((ROOT / "telemetry" / "stats.py").read_text())
    return next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == group.__name__)


@pytest.mark.parametrize("group", [ClusterStats, HttpStats, ListenerStats, TcpStats])
def test_every_cell_has_a_writer(group: type[Group]) -> None:
    trees = [own_methods(group)]
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        groups = next((groups for start, groups in PLACES if place.startswith(start)), ())
        if group in groups:
            trees.append(ast.parse(path.read_text()))
    found = [named(tree) for tree in trees]
    used: set[str] = set().union(*(attributes for attributes, _ in found))
    beginnings = tuple(beginning for _, some in found for beginning in some)
    cells = [slot.attribute for slot in layout(group)]
    assert [cell for cell in cells if cell not in used and not (beginnings and cell.startswith(beginnings))] == []
