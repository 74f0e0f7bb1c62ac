"""The walk through the stack that examples/compose/walk.sh is: every step does what it says."""

from __future__ import annotations

import subprocess

from tests.compose.stack import ROOT, Stack

WALK = ROOT / "examples" / "compose" / "walk.sh"
WALK_SECONDS = 600.0  # three minutes where nothing else runs


def test_the_walk_ends_where_it_should(stack: Stack) -> None:
    done = subprocess.run(
        ["sh", str(WALK)], cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=WALK_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for said in ("MeshBreakerOpen", "mesh_circuit_breaker_open", "probes passed"):
        assert said in done.stdout


def test_the_transcript_has_every_step() -> None:
    steps = [line.partition("'")[2].rstrip("'") for line in WALK.read_text().splitlines() if line.startswith("step '")]
    transcript = WALK.with_suffix(".txt").read_text()
    assert steps and [step for step in steps if step not in transcript] == []
