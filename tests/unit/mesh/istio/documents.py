"""Documents for the tests, and what the loader says of them."""

from __future__ import annotations

from typing import Any

from mesh.errors import ConfigError, Problem
from mesh.istio.load import load, load_documents


def document(kind: str, spec: Any, **metadata: Any) -> dict[str, Any]:
    version = "v1" if kind == "Service" else "networking.istio.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "sample", **metadata}, "spec": spec}


def accepted(kind: str, spec: Any) -> Any:
    """The model of a good spec."""
    (resource,) = load_documents([document(kind, spec)])
    return resource.spec


def refused(kind: str, spec: Any) -> list[str]:
    """What is wrong with a spec, as `field: message`, without the leading `spec.`."""
    try:
        load_documents([document(kind, spec)])
    except ConfigError as error:
        return [str(problem).removeprefix("spec.") for problem in error.problems]
    return []


def problems(text: str, file: str = "") -> list[Problem]:
    try:
        load(text, file)
    except ConfigError as error:
        return list(error.problems)
    return []


def route(**fields: Any) -> dict[str, Any]:
    """A VirtualService's spec with one route."""
    return {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews"}}], **fields}]}


def action(**fields: Any) -> dict[str, Any]:
    """A VirtualService's spec whose one rule has these fields only."""
    return {"hosts": ["reviews"], "http": [fields]}
