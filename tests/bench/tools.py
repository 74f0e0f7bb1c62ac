"""The programs that the bench needs besides the two proxies: from Debian, installed when they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.harness.envoy import ROOT

PACKAGES = {"wrk": "wrk", "nginx": "nginx-light", "haproxy": "haproxy", "h2load": "nghttp2-client"}
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
    python_there = python("py-spy")
    return Path(python_there).with_name("py-spy") if python_there else None


def python(*packages: str) -> str | None:
    """An interpreter that has these packages, in an environment of its own: theirs would get in the way of ours."""
    found = VENV / "bin" / "python"
    missing = [package for package in packages if not (VENV / f".{package}").exists()]
    commands = [] if found.exists() else [[sys.executable, "-m", "venv", str(VENV)]]
    if missing:
        commands.append([str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *missing])
    for command in commands:
        if failure := _run(command):
            print(f"bench: no {', '.join(packages)}: {failure}", file=sys.stderr)
            return None
    for package in packages:
        (VENV / f".{package}").touch()
    return str(found)


def version(command: Sequence[str]) -> str:
    """The first line of what a program says of its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except OSError:
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""
