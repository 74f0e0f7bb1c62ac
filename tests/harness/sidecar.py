"""How tests start our own proxy. `MESH_TEST_SIDECAR` names another executable that takes the same flags."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def sidecar_command(config: Path, *extra: str) -> list[str]:
    """The `mesh-sidecar` of the environment that runs the tests, with one worker."""
    binary = os.environ.get("MESH_TEST_SIDECAR") or str(Path(sys.executable).with_name("mesh-sidecar"))
    return [binary, "-c", str(config), "--concurrency", "1", *extra]
