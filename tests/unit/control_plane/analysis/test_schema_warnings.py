"""What Istio's webhook warns of."""

from __future__ import annotations

import pytest

from control_plane.analysis.schema_warnings import LARGE_BODY
from tests.unit.control_plane.analysis.support import REVIEWS, analysed, document


def said(*documents: str) -> list[tuple[str, str]]:
    """(field, text) of IST0133"""
    found = [each for each in analysed(*documents) if each.code.number == "IST0133"]
    assert all(each.message.startswith("Schema validation warning: ") for each in found)
    return [(each.field, each.message.partition("warning: ")[2]) for each in found]


@pytest.mark.parametrize(
    ("kind", "field", "labels", "more"),
    [
        ("Sidecar", "workloadSelector", "labels", "egress: [{hosts: ['*/*']}]"),
        ("DestinationRule", "workloadSelector", "matchLabels", "host: reviews"),
        ("Telemetry", "selector", "matchLabels", "tracing: [{randomSamplingPercentage: 1}]"),
        ("ProxyConfig", "selector", "matchLabels", "concurrency: 1"),
    ],
)
def test_a_selector_without_labels(kind: str, field: str, labels: str, more: str) -> None:
    def text(selector: str) -> str:
        body = document(kind, "x", f"{{{selector}{more}}}")
        return (
            body.replace("networking.istio.io/v1\n", "networking.istio.io/v1beta1\n") if kind == "ProxyConfig" else body
        )

    ((where, words),) = said(REVIEWS, text(f"{field}: {{{labels}: {{}}}}, "))
    assert where == f"spec.{field}"
    assert words.startswith(f"{kind.lower()}: workload selector specified without labels")
    assert said(REVIEWS, text(f"{field}: {{{labels}: {{a: b}}}}, ")) == []
    assert said(REVIEWS, text("")) == []


@pytest.mark.parametrize(("size", "large"), [(LARGE_BODY, False), (LARGE_BODY + 1, True)])
def test_a_large_answer(size: int, large: bool) -> None:
    answer = f"directResponse: {{status: 200, body: {{string: {'a' * size}}}}}"
    text = document("VirtualService", "x", f"{{hosts: [reviews], http: [{{{answer}}}]}}")
    places = [where for where, _ in said(REVIEWS, text)]
    assert places == (["spec.http[0].directResponse.body"] if large else [])


@pytest.mark.parametrize(
    ("hosts", "repeated"),
    [
        ("'./a.x', './b.x', 'ns/a.x'", []),
        ("'./a.x', './a.x'", [1]),
        ("'./*', './a.x'", [1]),
        ("'ns/a.x', 'ns/*'", [0]),
        ("'*/*', './a.x'", [1]),
        ("'*/*', '~ns/*'", []),
    ],
)
def test_hosts_that_are_imported_twice(hosts: str, repeated: list[int]) -> None:
    text = document("Sidecar", "x", f"{{egress: [{{hosts: [{hosts}]}}]}}")
    assert [where for where, _ in said(text)] == [f"spec.egress[0].hosts[{position}]" for position in repeated]
