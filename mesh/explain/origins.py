"""Where a resource says something: its file and line, or its name and the field."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from mesh.explain.steps import Explanation, Named, Origin, Path, Source, Step, with_steps
from mesh.istio.load import field_path
from mesh.istio.resource import Key, Resource

_KINDS = {"virtual-service": "VirtualService", "destination-rule": "DestinationRule"}


def key_of(config: str) -> Key | None:
    """The resource that Istio's path of it (`…/namespaces/default/virtual-service/reviews`) means."""
    parts = config.split("/namespaces/")[-1].split("/")
    if len(parts) != 3:
        return None
    namespace, kind, name = parts
    return Key(_KINDS.get(kind, kind), namespace, name)


class Origins:
    """Looks places up in the resources that are known."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources = {resource.key: resource for resource in resources}

    def looked_up(self, explained: Explanation) -> Explanation:
        """The same with the origin of each of its steps."""
        return replace(explained, steps=tuple(map(self._step, explained.steps)))

    def _step(self, step: Step) -> Step:
        origin = step.origin if step.source is None else self.find(step.source)
        return with_steps(step, tuple(map(self._step, step.steps)), origin)

    def find(self, source: Source) -> Origin | None:
        """None where the resource leaves it at the default."""
        key = key_of(source.config)
        if key is None:
            return None
        resource = self._resources.get(key)
        if resource is None:  # not known here: what is known is its name, and the place where it would stand
            first = source.places[0] if source.places else ()
            return Origin(*key, field_path(tuple(part for part in first if not isinstance(part, Named))))
        if not source.places:
            return Origin(*key, "", resource.file, resource.line)
        for place in source.places:
            if (path := _there(resource.document, place)) is not None:
                return Origin(*key, field_path(path), resource.file, resource.line_of(path) if resource.file else 0)
        return None


def _there(document: Any, place: Path) -> tuple[str | int, ...] | None:
    """The path in the document, None when it has no such place."""
    found: list[str | int] = []
    value = document
    for part in place:
        if isinstance(part, Named):
            names = [each.get("name") for each in value if isinstance(each, dict)] if isinstance(value, list) else []
            if part.name not in names:
                return None
            part = names.index(part.name)
        if isinstance(part, int):
            if not isinstance(value, list) or part >= len(value):
                return None
        elif not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
        found.append(part)
    return tuple(found)
