"""Containers by what they are: a service of docker compose, or a container's own name. By the `docker` command, as whoever
may use it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mesh.chaos.processes import ProcessError

COMMAND: Final = "docker"
SECONDS: Final = 30.0
_SERVICE: Final = "com.docker.compose.service"
_PROJECT: Final = "com.docker.compose.project"


def of_service(name: str) -> list[str]:
    """The ids of the running containers of a compose service, of the project in COMPOSE_PROJECT_NAME where it is set;
    else that of the container with this name."""
    project = os.environ.get("COMPOSE_PROJECT_NAME", "")
    filters = [f"label={_SERVICE}={name}", *([f"label={_PROJECT}={project}"] if project else [])]
    words = [word for each in filters for word in ("--filter", each)]
    rows = [line.split() for line in _docker("ps", *words, "--format", f'{{{{.ID}}}} {{{{.Label "{_PROJECT}"}}}}')]
    projects = sorted({row[-1] for row in rows})
    if len(projects) > 1:
        raise ProcessError(
            f"{name} is in more than one project: set COMPOSE_PROJECT_NAME to one of {', '.join(projects)}"
        )
    found = [row[0] for row in rows] or _docker("ps", "--filter", f"name=^{name}$", "--format", "{{.ID}}")
    if not found:
        where = f"of project {project} " if project else ""
        raise ProcessError(
            f"no container that runs is {name}: neither a compose service {where}nor a name is so called"
        )
    return found


@contextmanager
def paused(container: str) -> Iterator[None]:
    try:
        _docker("pause", container)
        yield
    finally:
        mend(container)


@contextmanager
def killed(container: str) -> Iterator[None]:
    """The engine does not start again what it was told to kill."""
    try:
        _docker("kill", container)
        yield
    finally:
        mend(container)


def mend(container: str) -> None:
    """Lets it go on, or starts it again; one that runs stays as it is."""
    for word in ("unpause", "start"):
        _run(word, container)


def _docker(*words: str) -> list[str]:
    """The lines that it prints."""
    done = _run(*words)
    if done.returncode:
        raise ProcessError(f"{COMMAND} {' '.join(words[:1])}: {done.stderr.strip() or done.returncode}")
    return done.stdout.splitlines()


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run([COMMAND, *words], capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProcessError(f"{COMMAND} {words[0]}: {error}") from error
