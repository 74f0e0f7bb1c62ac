"""A finding: what was found, about which resource, where; in the words and the order of `istioctl analyze`."""

from __future__ import annotations

from dataclasses import dataclass

from control_plane.analysis.codes import SCHEMA_ERROR, Code
from mesh.errors import Problem
from mesh.istio.load import field_path
from mesh.istio.model import Path
from mesh.istio.resource import Key, Resource

NOBODY = Key("", "", "")


@dataclass(frozen=True, slots=True)
class Finding:
    """`field` is the place in the resource's document, `line` that in its file; 0 where that is not known (any more).
    What is wrong with a file before there is a resource is about `NOBODY`. `others` are the resources that are in
    conflict with it."""

    code: Code
    key: Key
    field: str
    message: str
    file: str = ""
    line: int = 0
    others: tuple[Key, ...] = ()

    @property
    def origin(self) -> str:
        """`VirtualService default/reviews`, as istioctl names resources."""
        return "" if self.key == NOBODY else friendly(self.key)

    @property
    def reference(self) -> str:
        return f"{self.file}:{self.line}" if self.file and self.line else self.file

    def __str__(self) -> str:
        place = " ".join(word for word in (self.origin, self.reference) if word)
        code = self.code
        return f"{code.level.word} [{code.number}]{f' ({place})' if place else ''} {self.message}"


def friendly(key: Key) -> str:
    return f"{key.kind} {key.namespace}/{key.name}"


def finding(code: Code, resource: Resource, path: Path, message: str, others: tuple[Key, ...] = ()) -> Finding:
    """A finding at a place of a resource's document (`("spec", "hosts", 0)`)."""
    return Finding(code, resource.key, field_path(path), message, resource.file, resource.line_of(path), others)


def schema_error(problem: Problem) -> Finding:
    """A problem of a document that is refused."""
    what = ": ".join(part for part in (problem.field, problem.message) if part)
    message = f"Schema validation error: {what}"
    return Finding(SCHEMA_ERROR, NOBODY, problem.field, message, problem.file, problem.line)


def as_json(found: Finding) -> dict[str, object]:
    """As the HTTP API says it: Istio's fields, and where in the document."""
    key = found.key
    return {
        "code": found.code.number,
        "name": found.code.name,
        "level": found.code.level.word,
        "kind": key.kind,
        "namespace": key.namespace,
        "resource": key.name,
        "origin": found.origin,
        "reference": found.reference,
        "documentationUrl": found.code.url,
        "field": found.field,
        "message": found.message,
        "file": found.file,
        "line": found.line,
    }
