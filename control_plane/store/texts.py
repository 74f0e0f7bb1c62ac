"""Files as a user sends them → resources and changes; resources → texts to compare."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from control_plane.sources.source import Change, Document
from mesh.errors import ConfigError, Problem
from mesh.istio.dump import dump
from mesh.istio.load import NOTHING, Loaded, load_text
from mesh.istio.resource import Key, Resource

CONTEXT: Final = 3  # lines around a change that a diff shows
MOST_COMPARISONS: Final = 25_000_000


@dataclass(frozen=True, slots=True)
class File:
    name: str
    text: str


def load_files(files: Sequence[File], skip_unknown: bool = False, strict: bool = False) -> Loaded:
    """The resources of all files. Raises ConfigError with the problems of all of them. Of a resource that several of them
    hold the last one counts, as if they were applied one after the other, and a note says so; `strict` refuses it."""
    found: dict[Key, Resource] = {}
    problems: list[Problem] = []
    skipped: list[Problem] = []
    for file in files:
        try:
            loaded = load_text(file.text, file.name, skip_unknown)
        except ConfigError as error:
            problems += error.problems
            continue
        skipped += loaded.skipped
        for resource in loaded.resources:
            if (before := found.pop(resource.key, None)) is not None:
                (problems if strict else skipped).append(_overridden(before, resource))
            found[resource.key] = resource
    if not problems and not found and not skipped:
        names = ", ".join(file.name for file in files)
        problems.append(Problem(NOTHING, file=names))
    if problems:
        raise ConfigError(*problems)
    return Loaded(tuple(found.values()), tuple(skipped))


def _overridden(before: Resource, by: Resource) -> Problem:
    message = f"{before.key} is there again in {by.file}:{by.line}, which counts"
    return Problem(message, "metadata.name", before.file, before.line)


def changes_to(resources: Sequence[Resource]) -> list[Change]:
    return [Change(resource.key, resource.document, resource=resource) for resource in resources]


def as_yaml(document: Document | None) -> str:
    """As people read it: keys in order, blocks; nothing for a resource that is not there."""
    if document is None:
        return ""
    return dump(document)


def differences(resources: Iterable[Resource], current: Mapping[Key, Document]) -> list[tuple[Key, str]]:
    """What each of the resources changes."""
    return [(r.key, difference(r.key, current.get(r.key), r.document)) for r in resources]


def difference(key: Key, before: Document | None, after: Document | None) -> str:
    """The unified diff from one to the other; empty when they say the same."""
    if before == after:
        return ""
    old, new = as_yaml(before).splitlines(keepends=True), as_yaml(after).splitlines(keepends=True)
    # What is the same at both ends, but for the lines around a change, is not compared: comparing costs the square.
    head = max(0, _common(old, new) - CONTEXT)
    tail = max(0, _common(old[head:][::-1], new[head:][::-1]) - CONTEXT)
    if (len(old) - head - tail) * (len(new) - head - tail) > MOST_COMPARISONS:
        return "".join(_replaced(key, old, new, head, tail))
    lines = difflib.unified_diff(old[head : len(old) - tail], new[head : len(new) - tail], f"live/{key}", f"new/{key}")
    return "".join(_shifted(line, head) for line in lines)


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _replaced(key: Key, old: Sequence[str], new: Sequence[str], head: int, tail: int) -> Iterator[str]:
    """The differing middle as a whole: right, if longer than need be."""
    gone, come = old[head : len(old) - tail], new[head : len(new) - tail]
    yield f"--- live/{key}\n"
    yield f"+++ new/{key}\n"
    yield f"@@ -{head + 1},{len(gone)} +{head + 1},{len(come)} @@\n"
    yield from (f"-{line}" for line in gone)
    yield from (f"+{line}" for line in come)


_HUNK: Final = re.compile(r"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@")


def _shifted(line: str, lines: int) -> str:
    """A line of a diff of texts that began so many lines further up."""
    if not lines or (found := _HUNK.match(line)) is None:
        return line
    old, old_count, new, new_count = found.groups(default="")
    return f"@@ -{int(old) + lines}{old_count} +{int(new) + lines}{new_count} @@\n"
