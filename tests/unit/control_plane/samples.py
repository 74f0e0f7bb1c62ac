"""Resources to try the control plane on."""

from __future__ import annotations

from typing import Any

import yaml

from control_plane.sources.source import Change
from mesh.istio.load import load
from mesh.istio.resource import Key, Resource


def route(name: str = "reviews", subset: str = "v1", namespace: str = "default") -> dict[str, Any]:
    """A VirtualService, as a document."""
    destination = {"host": name, "subset": subset}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"hosts": [name], "http": [{"route": [{"destination": destination}]}]},
    }


def text(*documents: dict[str, Any]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)


def resources(*documents: dict[str, Any]) -> list[Resource]:
    return load(text(*documents))


def key(document: dict[str, Any]) -> Key:
    return Key(document["kind"], document["metadata"]["namespace"], document["metadata"]["name"])


def put(*documents: dict[str, Any], created: float | None = None) -> list[Change]:
    """Changes that make these documents be."""
    return [Change(r.key, r.document, created, r) for r in resources(*documents)]


def gone(*documents: dict[str, Any]) -> list[Change]:
    return [Change(key(document), None) for document in documents]
