"""Rules and matches that never act. (The cases of Istio's own, where it has them.)"""

from __future__ import annotations

import pytest

from tests.unit.control_plane.analysis.support import REVIEWS, TO_REVIEWS, analysed, document, route

TO = "route: [{destination: {host: reviews, port: {number: 9080}}}]"
LATER, NEVER = "IST0131", "IST0130"


def said(text: str) -> list[tuple[str, str]]:
    codes = (LATER, NEVER)
    return [(found.code.number, found.field) for found in analysed(REVIEWS, text) if found.code.number in codes]


def http(*matches: str) -> str:
    return route(*(f"{{match: [{match}], {TO_REVIEWS}}}" for match in matches))


def uri(prefix: str, more: str = "") -> str:
    return f"{{uri: {{prefix: {prefix}}}{more and ', ' + more}}}"


GET, POST = "method: {exact: GET}", "method: {exact: POST}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (http(uri("/a"), uri("/a")), [(NEVER, "spec.http[1]"), (LATER, "spec.http[1].match[0]")]),
        (http(uri("/a"), f"{uri('/a')}, {uri('/b')}"), [(LATER, "spec.http[1].match[0]")]),
        # A longer prefix after a shorter one, with the same conditions beside it or more of them by the method alone.
        (http(f"{uri('/a')}, {uri('/ab', GET)}"), [(LATER, "spec.http[0].match[1]")]),
        (http(f"{uri('/a', GET)}, {uri('/ab', GET)}"), [(LATER, "spec.http[0].match[1]")]),
        (http(uri("/a", GET), uri("/ab", GET)), [(LATER, "spec.http[1].match[0]")]),
        (http(uri("/a", GET), f"{uri('/ab', GET)}, {uri('/abc', POST)}"), [(LATER, "spec.http[1].match[0]")]),
        (http(uri("/a"), "{uri: {exact: /a/b}}"), [(LATER, "spec.http[1].match[0]")]),
        (http(uri("/a", GET), uri("/ab")), []),
        (http(uri("/ab"), uri("/a")), []),
        (http(uri("/a", "headers: {x: {exact: y}}"), uri("/ab")), []),
        (http(uri("/a"), uri("/A", "ignoreUriCase: true")), []),
        (http(f"{uri('/')}, {{uri: {{exact: /}}, {GET}}}"), []),
    ],
)
def test_requests(text: str, expected: list[tuple[str, str]]) -> None:
    assert said(text) == expected


def connections(section: str, *rules: str) -> str:
    listed = ", ".join(f"{{{rule and rule + ', '}{TO}}}" for rule in rules)
    return document("VirtualService", "rules", f"{{hosts: [reviews], {section}: [{listed}]}}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            connections("tcp", "match: [{port: 9080}]", "match: [{port: 9080}]"),
            [(NEVER, "spec.tcp[1]"), (LATER, "spec.tcp[1].match[0]")],
        ),
        (connections("tcp", "match: [{port: 1}]", "match: [{port: 1}, {port: 2}]"), [(LATER, "spec.tcp[1].match[0]")]),
        (connections("tcp", "", ""), [(NEVER, "spec.tcp[1]")]),
        (connections("tcp", "match: [{port: 1}]", ""), []),
        (
            connections("tls", "match: [{sniHosts: [reviews]}]", "match: [{sniHosts: [reviews]}]"),
            [(NEVER, "spec.tls[1]"), (LATER, "spec.tls[1].match[0]")],
        ),
    ],
)
def test_connections(text: str, expected: list[tuple[str, str]]) -> None:
    assert said(text) == expected


def test_rules_are_told_by_their_names() -> None:
    text = route(f"{{name: first, match: [{uri('/a')}], {TO_REVIEWS}}}", f"{{match: [{uri('/ab')}], {TO_REVIEWS}}}")
    (found,) = (each for each in analysed(REVIEWS, text) if each.code.number == LATER)
    assert found.message == (
        'VirtualService rule #1 match #0 is not used (duplicate/overlapping match in rule "first").'
    )
