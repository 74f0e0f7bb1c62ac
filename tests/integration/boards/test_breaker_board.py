"""The control plane's breaker board: as JSON, as events, and drawn by a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.harness.process import wait_until
from tests.integration.boards.conftest import Watched

_open = build_opener(ProxyHandler({})).open


def seen(watched: Watched) -> dict[str, Any]:
    with _open(f"{watched.demo.server}/api/v1/breakers", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_every_breaker_of_every_caller_is_there(watched: Watched) -> None:
    watched.apply("ratings-three-state-breaker")
    found = wait_until(
        lambda: [each for each in seen(watched)["breakers"] if each["service"] == "ratings"], 20, "breakers"
    )
    assert {"reviews-v1", "reviews-v2", "reviews-v3"} <= {each["caller"] for each in found}
    assert seen(watched)["silent"] == {}


def test_events_come_one_after_the_other(watched: Watched) -> None:
    with _open(f"{watched.demo.server}/api/v1/breakers/events", timeout=20) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = [answer.readline() for _ in range(4)]
    assert lines[0].startswith(b"data: {") and lines[1] == b"\n" and lines[2].startswith(b"data: {")


def test_a_browser_draws_it(watched: Watched, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    watched.apply("ratings-three-state-breaker")
    picture = tmp_path / "breakers.png"
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--no-proxy-server", "--virtual-time-budget=5000", "--window-size=1200,900"]
    dump = subprocess.run(
        [*command, f"--screenshot={picture}", "--dump-dom", f"{watched.demo.server}/breakers?once"],
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert "reviews-v2" in dump.stdout, dump.stderr[-500:]
    assert 'class="badge closed"' in dump.stdout
