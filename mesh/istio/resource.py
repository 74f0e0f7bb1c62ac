"""A resource: one document of Istio's or Kubernetes' API, checked, with where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    `created` is a wall-clock time in seconds that orders resources by age, 0.0 before they are stored."""

    key: Key
    spec: Any
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    document: Mapping[str, Any]
    created: float = 0.0
    revision: int = 0
    file: str = ""
    line: int = 0
