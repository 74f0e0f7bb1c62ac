"""Annotations in Istio's name."""

import pytest

from tests.unit.control_plane.analysis.support import REVIEWS, analysed, codes, deployment, document

PORTS = "{ports: [{name: http, port: 80}]}"


def annotated(text: str) -> str:
    return document("Service", "a", PORTS, annotations=f"{{{text}}}")


def test_unknown_ones() -> None:
    (found,) = analysed(annotated("sidecar.istio.io/injekt: 'true'"))
    assert (found.code.number, found.message) == ("IST0108", "Unknown annotation: sidecar.istio.io/injekt")
    assert found.field == 'metadata.annotations["sidecar.istio.io/injekt"]'
    assert codes(annotated("example.com/owner: us, mesh.asyncmesh.io/note: x")) == []


def test_one_for_another_kind() -> None:
    (found,) = analysed(annotated("sidecar.istio.io/inject: 'true'"))
    assert found.code.number == "IST0107"
    assert found.message == "Misplaced annotation: sidecar.istio.io/inject can only be applied to Pod"
    pod = deployment("a", "app: a", annotations="{sidecar.istio.io/inject: 'true'}")
    assert codes(REVIEWS, pod) == []


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("sidecar.istio.io/inject", "'false'", "maybe"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "'80,443'", "'80,http'"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "'10.0.0.0/8'", "'10.0.0.0/40'"),
        ("status.sidecar.istio.io/port", "'15020'", "'70000'"),
        ("sidecar.istio.io/interceptionMode", "REDIRECT", "redirect"),
    ],
)
def test_values(name: str, right: str, wrong: str) -> None:
    assert codes(deployment("a", "app: a", annotations=f"{{{name}: {right}}}")) == []
    assert codes(deployment("a", "app: a", annotations=f"{{{name}: {wrong}}}")) == [("IST0125", "a")]


def test_namespaces_that_are_exported_to() -> None:
    assert codes(annotated("networking.istio.io/exportTo: './other'")) == [("IST0125", "a")]
    assert codes(annotated("networking.istio.io/exportTo: '.,other'")) == []


def test_a_deprecated_one() -> None:
    pod = deployment("a", "app: a", annotations="{sidecar.istio.io/discoveryAddress: here}")
    assert codes(pod) == [("IST0135", "a")]
