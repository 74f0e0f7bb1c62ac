"""Text or JSON data → resources, or everything that is wrong with them, each problem with its file, line and field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from mesh.errors import ConfigError, Problem
from mesh.gc_tuning import uncollected
from mesh.istio.kinds import KINDS
from mesh.istio.model import Path, shown
from mesh.istio.resource import Key, Resource
from mesh.istio.schema import foreign_kind, parse
from mesh.istio.yaml_nodes import Node, YamlError, compose, line_and_column

_EVERY_DOCUMENT = frozenset(("apiVersion", "kind"))
NOTHING: Final = "there is no resource in it: nothing but blanks and comments"
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


class Loaded(NamedTuple):
    """The resources of a text, and the documents of it that were passed over, each with its note."""

    resources: tuple[Resource, ...]
    skipped: tuple[Problem, ...]


def load_text(text: str, file: str = "", skip_unknown: bool = False) -> Loaded:
    """The resources of a YAML or JSON text, in its order. Raises `ConfigError` with all problems found; with
    `skip_unknown`, kinds of others than Istio and this mesh are none, and neither is what is no document of Kubernetes."""
    if skip_unknown and not any(name in text for name in _EVERY_DOCUMENT):
        return Loaded((), (_no_document(file, 1),))
    return _loaded(text, file, skip_unknown, skip_unknown).finish()


def examine_text(text: str, file: str = "") -> tuple[Loaded, list[Problem]]:
    """What can be understood of a text, and what is wrong with the rest; kinds of others are passed over."""
    loader = _loaded(text, file, skip_unknown=True)
    return loader.loaded, sorted(loader.problems, key=lambda problem: problem.line)


def _loaded(text: str, file: str, skip_unknown: bool, skip_nameless: bool = False) -> _Loader:
    loader = _Loader(file, skip_unknown, skip_nameless)
    with uncollected():
        try:
            for node in compose(text):
                loader.add(node.data, node)
        except YamlError as broken:
            loader.problems.append(Problem(broken.message, "", file, broken.line, broken.column))
    return loader


def _no_document(file: str, line: int) -> Problem:
    return Problem("has neither apiVersion nor kind, no document of Kubernetes: skipped", "", file, line)


def load(text: str, file: str = "") -> list[Resource]:
    """The resources of a text, as `load_text`."""
    return list(load_text(text, file).resources)


def load_documents(documents: Iterable[Any], file: str = "") -> list[Resource]:
    """The same for plain JSON data, whose lines are not known."""
    loader = _Loader(file)
    with uncollected():
        for document in documents:
            loader.add(document, None)
        return list(loader.finish().resources)


class _Loader:
    def __init__(self, file: str, skip_unknown: bool = False, skip_nameless: bool = False) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._skipped: list[Problem] = []
        self._skip_unknown = skip_unknown
        self._skip_nameless = skip_nameless
        self._resources: dict[Key, Resource] = {}

    def add(self, document: Any, node: Node | None) -> None:
        """One document; an empty one is nothing, a list is its items."""
        if document is None:
            return
        for path, item in _items(document):
            if self._skip_nameless and not (isinstance(item, dict) and item.keys() & _EVERY_DOCUMENT):
                self._skipped.append(_no_document(self.file, node.line_of(path) if node else 0))
            elif isinstance(item, dict):
                self._add_item(item, path, node)
            else:
                self._report("must be a mapping (apiVersion, kind, metadata, spec), not " + shown(item), path, node)

    def finish(self) -> Loaded:
        if self.problems:
            raise ConfigError(*sorted(self.problems, key=lambda problem: problem.line))
        return self.loaded

    @property
    def loaded(self) -> Loaded:
        """What is right so far."""
        return Loaded(tuple(self._resources.values()), tuple(self._skipped))

    def _add_item(self, item: dict[str, Any], path: Path, node: Node | None) -> None:
        line = node.line_of(path) if node else 0
        if self._skip_unknown and (name := foreign_kind(item)):
            self._skipped.append(Problem(f"{name} is no kind of this mesh: skipped", "", self.file, line))
            return
        lines = None if node is None else lambda place: node.line_of((*path, *place))
        resource, found = parse(item, self.file, line, lines)
        for place, message in found:
            self._report(message, (*path, *place), node)
        if resource is None:
            return
        first = self._resources.setdefault(resource.key, resource)
        if first is not resource:
            where = f", first on line {first.line}" if first.line else ""
            self._report(f"{resource.key} is there twice{where}", (*path, "metadata", "name"), node)

    def _report(self, message: str, path: Path, node: Node | None) -> None:
        line, column = line_and_column(node.place_of(path)) if node else (0, 0)
        self.problems.append(Problem(message, field_path(path), self.file, line, column))


def _items(document: Any) -> Iterator[tuple[Path, Any]]:
    if (
        isinstance(document, dict)
        and isinstance(items := document.get("items"), list)
        and _is_list(document.get("kind"))
    ):
        for index, item in enumerate(items):
            yield ("items", index), item
    else:
        yield (), document


def _is_list(kind: Any) -> bool:
    return isinstance(kind, str) and (kind == "List" or (kind.endswith("List") and kind[:-4] in KINDS))


_LONGEST_STEP = 100


def field_path(path: Path) -> str:
    """`spec.http[0].match[1].headers["x.y"]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _SIMPLE_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step[:_LONGEST_STEP]}"]'
    return text
