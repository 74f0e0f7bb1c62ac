"""The programs that the bench needs besides the two proxies: from Debian, installed when they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.envoy import ROOT

PACKAGES = {"wrk": "wrk", "nginx": "nginx-light", "haproxy": "haproxy"}
INSTALL_SECONDS = 300
VENV = ROOT / ".venv-bench"


def find(program: str, install: bool = True) -> str | None:
    """The program's path; None, with a word on why on stderr, when it is not to be had."""
    path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is not None or not install:
        return path
    package = PACKAGES[program]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        print(f"bench: no {program}; install it with: sudo apt-get install {package}", file=sys.stderr)
        return None
    install_it = ["apt-get", "install", "-y", "-q", "--no-install-recommends", package]
    failure = _run(install_it)
    if failure and not _run(["apt-get", "update", "-q"]):  # a fresh machine has no package lists
        failure = _run(install_it)
    if failure:
        print(f"bench: apt-get install {package} failed: {failure}", file=sys.stderr)
        return None
    return find(program, install=False)


def _run(command: list[str]) -> str:
    """Nothing, or the end of what a command that failed had to say."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    return done.stderr.strip()[-300:] or "no reason given" if done.returncode else ""


def profiler() -> Path | None:
    """py-spy in an environment of its own."""
    binary = VENV / "bin" / "py-spy"
    if binary.exists():
        return binary
    for command in (
        [sys.executable, "-m", "venv", str(VENV)],
        [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "py-spy"],
    ):
        if failure := _run(command):
            print(f"bench: no profiler: {failure}", file=sys.stderr)
            return None
    return binary
