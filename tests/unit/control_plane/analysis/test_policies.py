"""Policies of this mesh's own."""

from tests.unit.control_plane.analysis.support import REVIEWS, analysed, codes, document

BREAKER = (
    "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: CircuitBreaker\nmetadata: {name: one}\n"
    "spec: {host: reviews, failureRate: 50}\n"
)
LIMIT = (
    "apiVersion: mesh.asyncmesh.io/v1alpha1\nkind: RateLimit\nmetadata: {name: few}\n"
    "spec: {host: reviews, limits: [{name: all, requests: 5}]}\n"
)


def test_hosts_that_are_not_there() -> None:
    assert analysed(REVIEWS, BREAKER, LIMIT) == []
    found = analysed(BREAKER, LIMIT)
    assert [(each.code.number, each.key.kind, each.field) for each in found] == [
        ("IST0101", "CircuitBreaker", "spec.host"),
        ("IST0101", "RateLimit", "spec.host"),
    ]


def test_a_second_breaker() -> None:
    full = BREAKER.replace("name: one", "name: two").replace("host: reviews", "host: reviews.default.svc.cluster.local")
    (found,) = analysed(REVIEWS, BREAKER, full)
    assert (found.code.number, found.key.name) == ("MESH0011", "two")
    assert [key.name for key in found.others] == ["one"]


def test_settings_that_set_nothing() -> None:
    metrics = "metrics: [{providers: [{name: prometheus}]}]"
    assert codes(document("Telemetry", "empty", f"{{{metrics}}}")) == [("IST0167", "empty")]
    assert codes(document("Telemetry", "some", "{metrics: [{overrides: [{disabled: true}]}]}")) == []
    assert codes(document("Telemetry", "some", "{accessLogging: [{}]}")) == []
    head = "apiVersion: networking.istio.io/v1\nkind: ProxyConfig\nmetadata: {name: none}\nspec: {}\n"
    assert codes(head) == [("IST0167", "none")]
