"""The reference pages under docs/ are what the code prints."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("page", "module"), [("istio-api", "mesh.istio"), ("envoy-config", "sidecar.config")])
def test_a_reference_page_is_current(page: str, module: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8") == printed, "run `make docs`"
