"""Changes → new texts for the files of a folder. Comments and documents that are not concerned stay as they are.

A changed resource takes the place of its document; a new one gets a file of its own; a deleted one leaves its file, and
a file with nothing left in it goes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from control_plane.sources.source import Change, Document, RefusedError
from mesh.errors import ConfigError, Problem
from mesh.istio.dump import dump
from mesh.istio.load import load
from mesh.istio.resource import Key

# Wherever this stands in YAML, a document ends: even within a block of text.
_SEPARATOR: Final = re.compile(r"^---(?=\s|$)[ \t]*\n?", re.MULTILINE)

Read = Callable[[str], str | None]  # name of a file → its text, None when there is no such file


def own_file(key: Key) -> str:
    """The file of a resource that came through the API. A kind and a namespace have no dots, so no two are the same."""
    return f"{key.kind.lower()}.{key.namespace}.{key.name}.yaml"


def edit(changes: Iterable[Change], places: Mapping[Key, str], read: Read) -> dict[str, str | None]:
    """The new text of every file that changes, None for one that goes. `places` says which file a resource stands in.
    Raises RefusedError when a file that would have to change is broken, or in the way."""
    by_file: dict[str, dict[Key, Document | None]] = {}
    problems: list[Problem] = []
    for change in changes:
        name = places.get(change.key)
        if name is None:
            name = own_file(change.key)
            if read(name) is not None:
                problems.append(Problem(f"is in the way: {change.key} would be written there", file=name))
        by_file.setdefault(name, {})[change.key] = change.document
    texts: dict[str, str | None] = {}
    for name, documents in by_file.items():
        try:
            edited = _edited_json if name.endswith(".json") else _edited
            texts[name] = edited(read(name) or "", name, documents)
        except ConfigError as error:
            problems.append(Problem("has errors, so it cannot be changed from here: mend it first", file=name))
            problems += error.problems
    if problems:
        raise RefusedError(*problems)
    return texts


def _edited(text: str, name: str, changed: Mapping[Key, Document | None]) -> str | None:
    """The text with these documents in it, and without those that are None. Raises ConfigError."""
    documents = dict(changed)
    parts: list[str] = []
    left = False
    for part in _parts(text, name):
        resources = load(part, name)
        if not any(resource.key in changed for resource in resources):
            parts.append(part)
            left = left or bool(resources)
            continue
        # A `kind: List` holds several: those that stay become documents of their own.
        kept = [documents.pop(resource.key, resource.document) for resource in resources]
        parts += [_written(document) for document in kept if document is not None]
        left = left or any(document is not None for document in kept)
    parts += [_written(document) for document in documents.values() if document is not None]
    if not left and not any(documents.values()):
        return None
    return "---\n".join(part if part.endswith("\n") or not part else f"{part}\n" for part in parts)


def _edited_json(text: str, name: str, changed: Mapping[Key, Document | None]) -> str | None:
    """The same for a file that holds one JSON document: a resource, or a list of them."""
    documents: dict[Key, Document | None] = {resource.key: resource.document for resource in load(text, name)}
    left = [document for document in (documents | dict(changed)).values() if document is not None]
    if not left:
        return None
    whole = left[0] if len(left) == 1 else {"apiVersion": "v1", "kind": "List", "items": left}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _parts(text: str, name: str) -> list[str]:
    """The documents of a text, with the comments around them. Raises ConfigError for a text with errors."""
    load(text, name)
    parts = _SEPARATOR.split(text)
    return parts[1:] if not parts[0].strip() else parts


def _written(document: Document) -> str:
    return dump(document)
