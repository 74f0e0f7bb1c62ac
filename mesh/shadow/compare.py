"""Answers field by field, and which differences are no noise. Pure.

For each field two shares are counted: how often the candidate differs from the baseline, and how often the baseline differs
from itself. A field is reported when the first is shown to be greater, with the statistics of experiments, over all
fields and at every look.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mesh.experiments.checks import ErrorShareIncrease
from mesh.experiments.data import Counts

MOST_FIELDS: Final = 2_000  # of all answers together: further ones count under their parent's name
MOST_DEPTH: Final = 12
MOST_EXAMPLES: Final = 3
MOST_TEXT: Final = 80
MOST_BODY: Final = 1 << 20
REDACTED: Final = "(redacted)"
ABSENT: Final = "(absent)"
_NONE: Final = object()


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` by lower-case name."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class FieldCounts:
    """Of one field: answers it was looked at in, and how often it differed; `examples` are (baseline, candidate)."""

    seen: int = 0
    differed: int = 0
    noise: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that differs more often than noise explains. `evidence` is a natural logarithm."""

    name: str
    seen: int
    differed: int
    noise: int
    evidence: float
    examples: tuple[tuple[str, str], ...]


class Comparison:
    """Fed with three answers at a time. `headers` are the response headers that are compared; fields whose last name is in
    `redact` are compared, too, but never shown."""

    def __init__(self, headers: tuple[str, ...] = (), redact: tuple[str, ...] = (), alpha: float = 0.05) -> None:
        self._headers = tuple(name.lower() for name in headers)
        self._redact = frozenset(name.lower() for name in redact)
        self._alpha = alpha
        self.compared = 0
        self.fields: dict[str, FieldCounts] = {}

    def add(self, baseline: Answer, again: Answer, candidate: Answer) -> None:
        self.compared += 1
        one, two, new = (self._flat(answer) for answer in (baseline, again, candidate))
        for name in one.keys() | two.keys() | new.keys():
            counts = self._counts(name)
            counts.seen += 1
            before = one.get(name, _NONE)
            if before != two.get(name, _NONE):
                counts.noise += 1
            if before != new.get(name, _NONE):
                counts.differed += 1
                if len(counts.examples) < MOST_EXAMPLES:
                    counts.examples.append((self._shown(name, before), self._shown(name, new.get(name, _NONE))))

    def differences(self) -> list[Difference]:
        """What is no noise, the surest first."""
        enough = math.log(max(len(self.fields), 1) / self._alpha)
        check, found = ErrorShareIncrease(0.0), []
        for name, counts in self.fields.items():
            if counts.differed <= counts.noise:
                continue
            total = self.compared  # a field that one answer has not is there to be missed
            evidence = check.violated(Counts(total, counts.noise), Counts(total, counts.differed), enough)
            if evidence >= enough:
                row = Difference(name, counts.seen, counts.differed, counts.noise, evidence, tuple(counts.examples))
                found.append(row)
        return sorted(found, key=lambda each: (-each.evidence, each.name))

    def noisy(self) -> list[str]:
        """Fields in which the baseline differs from itself."""
        return sorted(name for name, counts in self.fields.items() if counts.noise)

    def _counts(self, name: str) -> FieldCounts:
        if name not in self.fields and len(self.fields) >= MOST_FIELDS:
            name = name.partition(".")[0].partition("[")[0] + " (more fields)"
        return self.fields.setdefault(name, FieldCounts())

    def _flat(self, answer: Answer) -> dict[str, Any]:
        values: dict[str, Any] = {"status": answer.status}
        values |= {f"header {name}": answer.headers.get(name, _NONE) for name in self._headers}
        values |= dict(_body(answer.body))
        return {name: value for name, value in values.items() if value is not _NONE}

    def _shown(self, name: str, value: Any) -> str:
        if value is _NONE:
            return ABSENT
        last = name.rpartition(".")[2].partition("[")[0].removeprefix("header ").lower()
        if last in self._redact or name.lower() in self._redact:
            return REDACTED
        text = value if isinstance(value, str) else json.dumps(value)
        return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"


def _body(body: bytes) -> Iterator[tuple[str, Any]]:
    """The leaves of a JSON body by their path; any other body is one field."""
    if len(body) > MOST_BODY:
        yield "body size", len(body)
        return
    try:
        data = json.loads(body) if body else None
    except (ValueError, RecursionError):
        yield "body", body.decode("utf-8", "replace")
        return
    yield from _leaves("body", data, 0)


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value and depth < MOST_DEPTH:
        for name, inner in value.items():
            yield from _leaves(f"{path}.{name}", inner, depth + 1)
    elif isinstance(value, list) and value and depth < MOST_DEPTH:
        for index, inner in enumerate(value):
            yield from _leaves(f"{path}[{index}]", inner, depth + 1)
    else:
        yield path, value
