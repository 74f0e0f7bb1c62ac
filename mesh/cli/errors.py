"""How a command fails: a message that says what to do, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mesh.errors import MeshError

FAILED = 1
USAGE = 2
UNREACHABLE = 3
NO_ANSWER = 4


class CliError(MeshError):
    """Ends the command; `hint` lines follow the message."""

    def __init__(self, message: str, *hints: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.hints = hints
        self.code = code


class RefusedError(CliError):
    """The control plane refused the request; `problems` are its own words, one a problem."""

    def __init__(self, message: str, problems: list[str], *hints: str) -> None:
        super().__init__(message, *problems, *hints)
        self.problems = problems


class UnreachableError(CliError):
    """Nobody answers where the control plane should be."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(
            f"cannot reach the control plane at {server}: {reason}",
            "start one:     mesh demo            (with example services), or mesh-control-plane",
            "is it elsewhere?   --server URL, or set MESH_SERVER",
            code=UNREACHABLE,
        )


class NoAnswerError(CliError):
    """The control plane was reached and did not answer, in time or at all."""

    def __init__(self, server: str, reason: str, changes: bool) -> None:
        hints = (
            (
                "the request is withdrawn: what it asked for is not done, unless that was just happening",
                "what is in effect:  mesh history",
            )
            if changes
            else ()
        )
        super().__init__(f"the control plane at {server} gave no answer: {reason}", *hints, code=NO_ANSWER)


@contextmanager
def alone() -> Iterator[None]:
    """Around a task group: the first CliError of its tasks, by itself. What `except*` raises stays in a group in Python's
    before 3.11.4."""
    try:
        yield
    except ExceptionGroup as group:
        errors, others = group.split(CliError)
        if errors is None or others is not None:
            raise
        first: Exception = errors
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from None
