"""The errors of both halves: every one says who, where and what was expected."""

from __future__ import annotations

from dataclasses import dataclass


class MeshError(Exception):
    """Base of every error that is meant for a person to read."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with one piece of configuration.

    `field` is a dotted path in the spelling of the document (`spec.http[0].route[0].weight`), empty when the whole
    document is meant; `line` and `column` are 1-based, 0 when unknown (xDS resources have none).
    """

    message: str
    field: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        if self.column:
            place += f":{self.column}"
        return ": ".join(part for part in (place, self.field, self.message) if part)


class ConfigError(MeshError):
    """Configuration that is refused as a whole; carries every problem found, not only the first."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))
