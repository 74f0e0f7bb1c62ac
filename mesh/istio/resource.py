"""A resource: one document of Istio's or Kubernetes' API, checked, with where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Key(NamedTuple):
    """What identifies a resource; API versions of a kind are one."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """`spec` is the pydantic model of the kind; `document` is the whole document as plain JSON data, as it was written;
    `created` is a wall-clock time in seconds that orders resources by age, 0.0 before they are stored; `lines` knows the
    lines of the file, as long as the text is at hand."""

    key: Key
    spec: Any
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    document: Mapping[str, Any]
    created: float = 0.0
    revision: int = 0
    file: str = ""
    line: int = 0
    lines: Callable[[tuple[str | int, ...]], int] | None = field(default=None, compare=False, repr=False)

    def line_of(self, path: tuple[str | int, ...]) -> int:
        """The line of a place of the document, that of the document where no more is known."""
        return self.lines(path) if self.lines is not None else self.line
