"""Which findings nobody wants to hear: by annotation of the resource, or by an option, as with istioctl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from control_plane.analysis.annotated import SUPPRESS
from control_plane.analysis.finding import Finding
from mesh.errors import MeshError
from mesh.istio.resource import Key, Resource

EVERYTHING: Final = "*"


class Suppression(NamedTuple):
    """`IST0102=DestinationRule primary-dr.default`; `*` in the name stands for anything."""

    code: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Suppression:
        """MeshError for another form."""
        code, equals, resource = text.partition("=")
        if not (equals and code and resource):
            raise MeshError(f'"{text}" must be CODE=RESOURCE, such as "IST0103=Service *.default"')
        return cls(code, resource)

    def hides(self, found: Finding) -> bool:
        key = found.key
        names = (f"{key.kind} {key.name}.{key.namespace}", f"{key.kind} {key.namespace}/{key.name}")
        return self.code == found.code.number and any(fnmatchcase(name, self.resource) for name in names)


def heard(
    findings: Iterable[Finding], resources: Mapping[str, tuple[Resource, ...]], options: Iterable[Suppression] = ()
) -> list[Finding]:
    """What is left."""
    by_annotation = {each.key: _codes(each) for found in resources.values() for each in found}
    chosen = tuple(options)
    return [
        found
        for found in findings
        if not _annotated(found, by_annotation) and not any(each.hides(found) for each in chosen)
    ]


def _codes(resource: Resource) -> frozenset[str]:
    return frozenset(code.strip() for code in resource.annotations.get(SUPPRESS, "").split(",") if code.strip())


def _annotated(found: Finding, codes: Mapping[Key, frozenset[str]]) -> bool:
    hidden = codes.get(found.key, frozenset())
    return EVERYTHING in hidden or found.code.number in hidden
