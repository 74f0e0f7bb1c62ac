"""Several VirtualServices for one host: who is told of which."""

from __future__ import annotations

import pytest

from tests.unit.control_plane.analysis.support import analysed, document


def rules(name: str, namespace: str, host: str = "web.example.com", export_to: str = "") -> str:
    exported = f", exportTo: [{export_to}]" if export_to else ""
    spec = f"{{hosts: ['{host}'], http: [{{redirect: {{uri: /{name}}}}}]{exported}}}"
    return document("VirtualService", name, spec, namespace=namespace)


def said(*documents: str) -> list[tuple[str, str]]:
    """(who, in whose place another one holds, that one)"""
    found = [each for each in analysed(*documents) if each.code.number == "IST0109"]
    return [(each.key.name, each.others[0].name) for each in found]


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ("", "", True),
        ("'*'", "", True),
        ("a", "b", False),
        ("'.'", "'.'", False),  # of two namespaces
        ("c", "c", True),
        ("'.', c", "c", True),
        ("a", "'.'", False),
        ("'*'", "'.'", False),  # the own one goes before the one for all
        ("c", "'*'", False),
    ],
)
def test_who_is_told_of_both(one: str, other: str, conflict: bool) -> None:
    older, younger = rules("older", "a", export_to=one), rules("younger", "b", export_to=other)
    assert said(older, younger) == ([("younger", "older")] if conflict else [])


def test_the_same_wildcard() -> None:
    assert said(rules("x", "a", "*.example.com"), rules("y", "b", "*.example.com")) == [("y", "x")]
    assert said(rules("x", "a", "*.example.com"), rules("y", "b", "web.example.com")) == []


def test_names_are_completed_by_their_namespaces() -> None:
    full = "web.shop.svc.cluster.local"
    assert said(rules("x", "shop", "web"), rules("y", "b", full)) == [("y", "x")]
    assert said(rules("x", "shop", "web"), rules("y", "b", "web")) == []


def test_of_three_the_oldest_holds() -> None:
    assert said(rules("x", "a"), rules("y", "a"), rules("z", "a")) == [("y", "x"), ("z", "x")]


def test_gateways_are_others_business() -> None:
    text = rules("y", "a").replace("hosts:", "gateways: [edge], hosts:")
    assert said(rules("x", "a"), text) == []
