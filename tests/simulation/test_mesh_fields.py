"""Kinds that are for many services or none: each of their fields changes what proxies are told or are started with, in one
of the documents that `mesh_documents` has for them; and a real Envoy takes what comes of these."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mesh.istio.load import load
from tests.simulation.effects import NODES, Mesh, Told
from tests.simulation.fields import Field, all_fields, no_effect
from tests.simulation.mesh_documents import DOCUMENTS, FEW, SERVICES
from tests.simulation.validation import assert_envoy_accepts

# What is refused in one kind only, or cannot be taken away by itself, and has a test of its own (`elsewhere.py`).
ELSEWHERE = frozenset((
    ("RateLimit", "HTTPMatchRequest", "name"),
    ("RateLimit", "HTTPMatchRequest", "statPrefix"),
    ("RateLimit", "HTTPMatchRequest", "port"),
    ("RateLimit", "HTTPMatchRequest", "sourceLabels"),
    ("RateLimit", "HTTPMatchRequest", "sourceNamespace"),
    ("RateLimit", "HTTPMatchRequest", "gateways"),
    ("MeshConfig", "ExtensionProvider", "prometheus"),
    ("Telemetry", "TagOverride", "operation"),
))  # fmt: skip


@cache
def meshes(kind: str) -> tuple[Told, ...]:
    """What the documents of a kind make."""
    texts = (f"{SERVICES.get(kind, FEW)}---\n{text}" for text in DOCUMENTS[kind])
    return tuple(Told(resources, Mesh(resources)) for resources in map(load, texts))


def wanted(kind: str) -> Iterator[Field]:
    for field in all_fields(kind):
        if not no_effect(field) and field[:3] not in ELSEWHERE:
            yield field


def shown(kind: str) -> set[Field]:
    found: set[Field] = set()
    for each in meshes(kind):
        for use, index in each.uses():
            if use.field.kind == kind and use.field not in found and each.effect(use, index) is not None:
                found.add(use.field)
    return found


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_each_field_does_something(kind: str) -> None:
    found = shown(kind)
    assert [f"{field.message}.{field}" for field in wanted(kind) if field not in found] == []


@pytest.mark.parametrize("kind", ["MeshConfig", "Telemetry", "RateLimit"])
def test_envoy_takes_it(kind: str, tmp_path: Path) -> None:
    each = meshes(kind)[0]
    for number in range(len(NODES) - 1):
        assert_envoy_accepts(each.mesh.built(number), tmp_path)
