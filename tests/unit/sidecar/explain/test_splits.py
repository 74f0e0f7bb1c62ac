"""The rules that split a host's requests, and those that lead somewhere."""

from __future__ import annotations

from control_plane.preview import Client, preview
from mesh.istio.load import load
from sidecar.explain.given import Call, Given
from sidecar.explain.splits import hosts_called, rules_of
from sidecar.explain.way import rules_to

HOST = "reviews.default.svc.cluster.local"
V1, V2 = (f"outbound|9080|{version}|{HOST}" for version in ("v1", "v2"))
RULES = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 90}
    - {destination: {host: reviews, subset: v2}, weight: 10}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
"""


def given() -> Given:
    return Given(preview(load(RULES), Client("productpage"), "reviews", 9080).messages)


def test_the_rule_that_splits() -> None:
    (rule,), others = rules_of(given(), HOST)
    assert rule.shares == ((V1, 0.9), (V2, 0.1))
    assert (rule.asks, rule.decided_by, rule.connections) == ("any path", "", False)
    assert [words for words, _ in rule.in_front] == ["any path and header end-user is 'jason'"]
    assert others == 0


MORE = """\
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: reviews, subset: v1}, weight: 1}, {destination: {host: reviews, subset: v2}, weight: 1}]
  - match: [{uri: {prefix: /b}}]
    route: [{destination: {host: reviews, subset: v1}}]
  - route:
"""
ASIDE = """\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: aside}
spec:
  hosts: [aside]
  http:
  - route: [{destination: {host: reviews, subset: v1}}]
"""


def test_several_that_split_and_others() -> None:
    text = RULES.replace("  - route:\n", MORE, 1) + ASIDE
    found = Given(preview(load(text), Client("productpage"), "aside", 9080).messages)
    rules, others = rules_of(found, HOST)
    assert [(rule.asks, len(rule.in_front)) for rule in rules] == [("path begins with /a", 1), ("any path", 2)]
    assert others == 1  # that of another host


def test_what_splits_nothing() -> None:
    assert hosts_called(given()) == {HOST}
    assert rules_of(given(), "nobody") == ([], 0)


def test_the_rules_that_lead_to_a_cluster() -> None:
    def stations(path: str, cluster: str) -> list[str]:
        return [step.station for step in rules_to(given(), Call("GET", f"http://reviews:9080{path}"), cluster)]

    assert stations("/", V1) == ["rule 3"]
    assert stations("/", V2) == ["rule 1", "rule 3"]
    assert stations("/", "outbound|1||nobody") == []
