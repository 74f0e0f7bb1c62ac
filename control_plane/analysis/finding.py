"""A finding: Istio's analysis codes, levels and words, so that its documentation applies.

https://istio.io/latest/docs/reference/config/analysis/
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from mesh.istio.load import field_path
from mesh.istio.model import Path
from mesh.istio.resource import Key, Resource


class Level(IntEnum):
    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        return self.name.capitalize()


@dataclass(frozen=True, slots=True)
class Code:
    """What kind of thing was found: `IST0101 (ReferencedResourceNotFound)`."""

    number: str
    name: str
    level: Level


REFERENCED_RESOURCE_NOT_FOUND = Code("IST0101", "ReferencedResourceNotFound", Level.ERROR)
CONFLICTING_HOSTS = Code("IST0109", "ConflictingMeshGatewayVirtualServiceHosts", Level.ERROR)
DESTINATION_PORT_REQUIRED = Code("IST0112", "VirtualServiceDestinationPortSelectorRequired", Level.ERROR)
NO_MATCHING_WORKLOADS = Code("IST0127", "NoMatchingWorkloadsFound", Level.WARNING)
UNREACHABLE_RULE = Code("IST0130", "VirtualServiceUnreachableRule", Level.WARNING)
INEFFECTIVE_MATCH = Code("IST0131", "VirtualServiceIneffectiveMatch", Level.INFO)
HOST_NOT_IN_GATEWAY = Code("IST0132", "VirtualServiceHostNotFoundInGateway", Level.WARNING)
CONFLICTING_GATEWAYS = Code("IST0145", "ConflictingGateways", Level.ERROR)
SUBSET_SELECTS_NOTHING = Code("IST0173", "DestinationRuleSubsetNotSelectPods", Level.ERROR)
UNKNOWN_RULE_HOST = Code("IST0174", "UnknownDestinationRuleHost", Level.WARNING)
# Our own.
SHORT_NAME_WITH_DOTS = Code("MESH0001", "HostNotCompleted", Level.WARNING)
NOT_LOOKED_UP = Code("MESH0003", "HostNotLookedUp", Level.WARNING)


@dataclass(frozen=True, slots=True)
class Finding:
    """`field` is the place in the resource's document, `line` that in its file; 0 where that is not known (any more)."""

    code: Code
    key: Key
    field: str
    message: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f" {self.file}:{self.line}" if self.file else ""
        code = self.code
        return f"{code.level.word} [{code.number}] ({self.key}{place}) {self.message}"


def finding(code: Code, resource: Resource, path: Path, message: str) -> Finding:
    """A finding at a place of a resource's document (`("spec", "hosts", 0)`)."""
    return Finding(code, resource.key, field_path(path), message, resource.file, resource.line_of(path))


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
        "field": found.field,
        "message": found.message,
        "file": found.file,
        "line": found.line,
    }
