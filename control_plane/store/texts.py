"""Files as a user sends them → resources and changes; resources → texts to compare."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from control_plane.sources.source import Change, Document
from mesh.errors import ConfigError, Problem
from mesh.istio.dump import dump
from mesh.istio.load import load
from mesh.istio.resource import Key, Resource


@dataclass(frozen=True, slots=True)
class File:
    name: str
    text: str


def load_files(files: Iterable[File]) -> list[Resource]:
    """The resources of all files. Raises ConfigError with the problems of all of them; a resource that two of them hold
    is one."""
    found: dict[Key, Resource] = {}
    problems: list[Problem] = []
    for file in files:
        try:
            resources = load(file.text, file.name)
        except ConfigError as error:
            problems += error.problems
            continue
        for resource in resources:
            first = found.setdefault(resource.key, resource)
            if first is not resource:
                where = f"{first.file}:{first.line}"
                message = f"{resource.key} is there twice, first in {where}"
                problems.append(Problem(message, "metadata.name", resource.file, resource.line))
    if problems:
        raise ConfigError(*problems)
    return list(found.values())


def changes_to(resources: Sequence[Resource]) -> list[Change]:
    return [Change(resource.key, resource.document, resource=resource) for resource in resources]


def as_yaml(document: Document | None) -> str:
    """As people read it: keys in order, blocks; nothing for a resource that is not there."""
    if document is None:
        return ""
    return dump(document)


def difference(key: Key, before: Document | None, after: Document | None) -> str:
    """The unified diff from one to the other; empty when they say the same."""
    old, new = as_yaml(before).splitlines(keepends=True), as_yaml(after).splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, f"live/{key}", f"new/{key}"))
