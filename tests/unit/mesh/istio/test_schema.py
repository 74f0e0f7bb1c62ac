from __future__ import annotations

from typing import Any

import pytest

from mesh.istio.kinds import ISTIO_VERSIONS, KINDS
from mesh.istio.resource import Key
from mesh.istio.schema import normalise, parse
from tests.unit.mesh.istio.documents import document, route


def messages(item: dict[str, Any]) -> list[str]:
    resource, found = parse(item)
    assert (resource is None) == bool(found)
    return [f"{'.'.join(map(str, path))}: {message}" for path, message in found]


@pytest.mark.parametrize("version", ISTIO_VERSIONS)
def test_the_versions_of_a_kind_are_one(version: str) -> None:
    resource, _ = parse({**document("VirtualService", route()), "apiVersion": f"networking.istio.io/{version}"})
    assert resource is not None
    assert resource.key == Key("VirtualService", "default", "sample")


def test_what_a_server_adds_is_dropped() -> None:
    item = document(
        "VirtualService",
        route(),
        namespace="prod",
        uid="1",
        resourceVersion="5",
        generation=3,
        creationTimestamp=None,
        managedFields=[{}],
        annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}", "owner": "me"},
    )
    resource, found = parse({**item, "status": {"conditions": []}})
    assert found == []
    assert resource is not None
    assert resource.annotations == {"owner": "me"}
    assert resource.document == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "sample", "namespace": "prod", "annotations": {"owner": "me"}},
        "spec": route(),
    }


def test_a_document_loads_as_itself() -> None:
    first, _ = parse(document("VirtualService", route(timeout="1s"), labels={"a": "b"}))
    assert first is not None
    second, _ = parse(dict(first.document))
    assert second is not None
    assert (second.key, second.spec, second.document) == (first.key, first.spec, first.document)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": None}, "kind: is required"),
        ({"apiVersion": None}, "apiVersion: is required"),
        ({"kind": 5}, "kind: must be a string, not 5"),
        ({"apiVersion": 1}, "apiVersion: must be a string, not 1"),
        (
            {"kind": "Virtualservice"},
            'kind: unknown kind "Virtualservice" of networking.istio.io/v1; did you mean "VirtualService"?',
        ),
        (
            {"kind": "WasmPlugin", "apiVersion": "extensions.istio.io/v1alpha1"},
            "kind: WasmPlugin of extensions.istio.io/v1alpha1 is not implemented yet; supported are VirtualService,",
        ),
        (
            {"kind": "Ingress", "apiVersion": "networking.k8s.io/v1"},
            "kind: Ingress of networking.k8s.io/v1 is not implemented yet",
        ),
        (
            {"kind": "Gateway", "apiVersion": "gateway.networking.k8s.io/v1"},
            "kind: Gateway of gateway.networking.k8s.io/v1 is not implemented yet",
        ),
        (
            {"apiVersion": "networking.istio.io/v2"},
            "apiVersion: VirtualService is a kind of networking.istio.io/v1 or networking.istio.io/v1beta1 or "
            'networking.istio.io/v1alpha3, not of "networking.istio.io/v2"',
        ),
        ({"apiVersion": "v1"}, "apiVersion: VirtualService is a kind of networking.istio.io/v1"),
        ({"metadata": None}, "metadata: is required"),
        ({"metadata": {}}, "metadata.name: is required"),
        ({"metadata": []}, "metadata: must be a mapping, not a list"),
        ({"metadata": {"name": "a", "namespace": "A_B"}}, "metadata.namespace: must be a DNS label"),
        ({"metadata": {"name": "a", "labels": {"version": 1}}}, "metadata.labels.version: must be a string, not 1"),
        ({"metadata": {"name": "a", "lables": {}}}, 'metadata.lables: unknown field; did you mean "labels"?'),
        ({"spec": None}, "spec: is required"),
        ({"Spec": {}}, 'Spec: unknown field; did you mean "spec"?'),
    ],
)
def test_what_is_refused(change: dict[str, Any], expected: str) -> None:
    (found,) = messages({**document("VirtualService", route()), **change})
    assert found.startswith(expected)


def test_a_wrong_version_does_not_hide_what_else_is_wrong() -> None:
    found = messages({**document("VirtualService", {"hosts": [5]}), "apiVersion": "v1"})
    assert [line.split(":")[0] for line in found] == ["apiVersion", "spec.hosts.0"]


def test_normalised_documents_are_in_order_and_equal() -> None:
    item = {"b": [{"d": 1, "c": 2}], "a": ()}
    assert list(normalise(item)) == ["a", "b"]
    assert list(normalise(item)["b"][0]) == ["c", "d"]
    assert normalise(item) == {"a": [], "b": [{"c": 2, "d": 1}]}


def test_kinds_have_a_name_and_versions() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.api_versions
