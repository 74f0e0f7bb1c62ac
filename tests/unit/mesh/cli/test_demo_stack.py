"""How the demo starts its parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesh.cli.demo_plan import make_plan
from mesh.cli.demo_stack import Stack


@pytest.mark.parametrize("endpoint", ["", "grpc://127.0.0.1:4317"])
def test_spans_go_where_they_are_to(endpoint: str, tmp_path: Path) -> None:
    plan = make_plan(8080)
    programs = {member.name: ("mesh-sidecar",) for member in plan.members}
    command = Stack(plan, tmp_path, programs, "", print, endpoint).control_plane.process.command
    assert ("--otlp-endpoint" in command) == bool(endpoint)
    if endpoint:
        assert command[command.index("--otlp-endpoint") + 1] == endpoint
