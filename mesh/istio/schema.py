"""The kinds of this mesh, and how a document becomes a resource."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationError

from mesh.istio import circuit_breaker
from mesh.istio.kinds import KINDS, Kind
from mesh.istio.misplaced import in_section
from mesh.istio.model import Found, Message, Path, explain, shown, suggestion
from mesh.istio.refused import REFUSED_KINDS
from mesh.istio.resource import Key, Resource
from mesh.istio.scalars import DnsLabel, Labels, wrong

DEFAULT_NAMESPACE: Final = "default"

OWN_GROUPS: Final = ("istio.io",)  # kinds of these are refused, never passed over
INSTALLERS: Final = "install.istio.io"  # how Istio itself is to be installed, no rule for any traffic

_TOP_LEVEL: Final = ("apiVersion", "kind", "metadata", "spec", "status")
_HEAD: Final = ("apiVersion", "kind", "metadata", "status")

# What a server keeps in `metadata` and `kubectl get -o yaml` prints: accepted and dropped, as `status` is.
SERVER_SIDE: Final = frozenset(
    (
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    )
)
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


def _resource_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise wrong(f"must be a name of lower-case letters, digits, - and ., at most 253 long, not {shown(value)}")
    return value


class Metadata(Message):
    name: Annotated[str, AfterValidator(_resource_name)]
    namespace: DnsLabel = DEFAULT_NAMESPACE
    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


def parse(
    document: Mapping[str, Any], file: str = "", line: int = 0, lines: Callable[[Path], int] | None = None
) -> tuple[Resource | None, list[Found]]:
    """The resource that a document describes, or what is wrong with it; paths are relative to the document, as are those
    of which `lines` tells the line in the file."""
    found: list[Found] = []
    kind = _kind_of(document, found)
    if kind is None and found and found[0].path == ("kind",) and "kind" in document:
        return None, found  # nothing is known of what else such a document may have
    whole = kind is not None and kind.whole
    if not whole:
        found += [Found((key,), _unknown(key, kind)) for key in document if key not in _TOP_LEVEL]
    metadata = _validate(Metadata, "metadata", _own_metadata(document.get("metadata")), found)
    if kind is not None and metadata is not None:
        extra = circuit_breaker.problems(kind.name, metadata.annotations)
        found += [Found(("metadata", *place), message) for place, message in extra]
    body = {key: value for key, value in document.items() if key not in _HEAD} if whole else document.get("spec")
    spec = _validate(kind.model, "" if whole else "spec", body, found) if kind else None
    if found or kind is None or metadata is None or spec is None:
        return None, found
    cleaned = {
        "apiVersion": document["apiVersion"],
        "kind": kind.name,
        "metadata": {name: value for name, value in metadata.model_dump().items() if value},
        **(_kept(kind, document) if whole else {"spec": document["spec"]}),
    }
    key = Key(kind.name, metadata.namespace, metadata.name)
    labels, annotations = metadata.labels, metadata.annotations
    return Resource(key, spec, labels, annotations, cleaned, file=file, line=line, lines=lines), []


def _unknown(key: str, kind: Kind | None) -> str:
    sections = {"metadata": Metadata} | ({"spec": kind.model} if kind else {})
    return f"unknown field{in_section(key, sections) or suggestion(key, _TOP_LEVEL)}"


def _kept(kind: Kind, document: Mapping[str, Any]) -> dict[str, Any]:
    """What of a document without `spec` is stored."""
    kept = kind.kept
    return {k: v for k, v in document.items() if k not in _HEAD and (kept is None or k in kept)}


def _kind_of(document: Mapping[str, Any], found: list[Found]) -> Kind | None:
    name, version = document.get("kind"), document.get("apiVersion")
    for field, value in (("kind", name), ("apiVersion", version)):
        if value is None:
            found.append(Found((field,), "is required"))
        elif not isinstance(value, str):
            found.append(Found((field,), f"must be a string, not {shown(value)}"))
    if not isinstance(name, str) or not isinstance(version, str):
        return KINDS.get(name) if isinstance(name, str) else None
    group = version.rpartition("/")[0]
    kind = KINDS.get(name)
    if kind and version in kind.api_versions:
        return kind
    if name in REFUSED_KINDS.get(group, ()):
        found.append(
            Found(("kind",), f"{name} of {version} is not implemented yet; {supported_kinds()}{_skipping(group)}")
        )
    elif kind:
        found.append(Found(("apiVersion",), _version_problem(kind, version)))
        return kind  # its fields can be checked all the same
    else:
        found.append(
            Found(
                ("kind",),
                f'unknown kind "{name}" of {version}{suggestion(name, KINDS)}; {supported_kinds()}{_skipping(group)}',
            )
        )
    return None


def _skipping(group: str) -> str:
    return "" if _own(group) else "; --skip-unknown passes over kinds of others"


def foreign_kind(document: Mapping[str, Any]) -> str:
    """`Job of batch/v1` for a document of a kind that neither this mesh nor Istio has, else an empty string."""
    name, version = document.get("kind"), document.get("apiVersion")
    if (
        not isinstance(name, str)
        or not isinstance(version, str)
        or (name in KINDS and version in KINDS[name].api_versions)
    ):
        return ""
    group = version.rpartition("/")[0]
    return "" if _own(group) or (name in KINDS and group == KINDS[name].group) else f"{name} of {version}"


def _own(group: str) -> bool:
    return group.endswith(OWN_GROUPS) and group != INSTALLERS


def _version_problem(kind: Kind, version: str) -> str:
    return f'{kind.name} is a kind of {" or ".join(kind.api_versions)}, not of "{version}"'


def supported_kinds() -> str:
    groups: dict[str, list[str]] = {}
    for kind in KINDS.values():
        if not kind.note:
            groups.setdefault(kind.group, []).append(kind.name)
    return "supported are " + "; ".join(f"{', '.join(names)} of {group or 'v1'}" for group, names in groups.items())


def _own_metadata(metadata: Any) -> Any:
    """Metadata without what a server adds to it."""
    if not isinstance(metadata, dict):
        return metadata
    own = {key: value for key, value in metadata.items() if key not in SERVER_SIDE}
    annotations = own.get("annotations")
    if isinstance(annotations, dict) and _LAST_APPLIED in annotations:
        own["annotations"] = {key: value for key, value in annotations.items() if key != _LAST_APPLIED}
    return own


def _validate(model: type[Message], field: str, value: Any, found: list[Found]) -> Any:
    if value is None:
        found.append(Found((field,), "is required"))
        return None
    try:
        return model.model_validate(value)
    except ValidationError as error:
        above = (field,) if field else ()
        found += [Found((*above, *e["loc"]), explain(e)) for e in error.errors(include_url=False)]
        return None


def normalise(document: Any) -> Any:
    """The same document with its keys in alphabetical order, as `kubectl` prints it: for diffs and hashes."""
    if isinstance(document, Mapping):
        return {key: normalise(document[key]) for key in sorted(document)}
    if isinstance(document, (list, tuple)):
        return [normalise(item) for item in document]
    return document
