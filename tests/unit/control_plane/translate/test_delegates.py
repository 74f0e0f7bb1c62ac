"""Delegated rules: which of them are a part of what their root lets through, and what is said where."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from control_plane.translate.delegates import with_delegates
from mesh.istio.virtual_service import HTTPRoute, VirtualService

TO = "route: [{destination: {host: reviews}}]"


def rules(root: str, *delegated: str) -> tuple[HTTPRoute, ...]:
    """The rules of a root with one rule that delegates (its other fields are `root`), behind them one of its own."""
    own = VirtualService.model_validate(
        yaml.safe_load(f"{{hosts: [reviews], http: [{{{root}, delegate: {{name: part}}}}, {{name: own, {TO}}}]}}")
    )
    part = VirtualService.model_validate(
        yaml.safe_load(f"{{http: [{', '.join(f'{{{each}, {TO}}}' for each in delegated)}]}}")
    )
    return with_delegates(own, lambda _delegate: part).http


@pytest.mark.parametrize(
    ("root", "part", "fits"),
    [
        ("uri: {prefix: /a}", "uri: {prefix: /a/b}", True),
        ("uri: {prefix: /a}", "uri: {exact: /a}", True),
        ("uri: {prefix: /a}", "uri: {prefix: /b}", False),
        ("uri: {prefix: /a}", "uri: {exact: /b}", False),
        ("uri: {exact: /a}", "uri: {exact: /a}", True),
        ("uri: {exact: /a}", "uri: {exact: /b}", False),
        ("uri: {exact: /a}", "uri: {prefix: /a}", False),
        ("uri: {regex: /a.*}", "uri: {prefix: /a}", False),
        ("uri: {prefix: /a}", "uri: {regex: /a.*}", False),
        ("uri: {prefix: /a}", "method: {exact: GET}", True),
        ("method: {exact: GET}", "uri: {exact: /a}", True),
        ("method: {exact: GET}", "method: {exact: PUT}", False),
        ("scheme: {exact: http}", "scheme: {exact: https}", False),
        ("authority: {exact: a}", "authority: {exact: b}", False),
        ("headers: {x: {exact: a}}", "headers: {x: {exact: b}}", False),
        ("headers: {x: {exact: a}}", "headers: {x: {exact: a}}", True),
        ("headers: {x: {}}", "headers: {x: {exact: a}}", True),
        ("headers: {x: {exact: a}}", "headers: {y: {exact: b}}", True),
        ("withoutHeaders: {x: {exact: a}}", "withoutHeaders: {x: {exact: b}}", False),
        ("queryParams: {x: {exact: a}}", "queryParams: {x: {exact: b}}", False),
        ("ignoreUriCase: true, uri: {prefix: /a}", "uri: {prefix: /a}", False),
        ("ignoreUriCase: true, uri: {prefix: /a}", "ignoreUriCase: true, uri: {prefix: /a}", True),
        ("port: 80", "port: 81", False),
        ("port: 80", "port: 80", True),
        ("port: 80", "uri: {exact: /a}", True),
        ("uri: {exact: /a}", "port: 80", True),
        ("sourceNamespace: a", "sourceNamespace: b", False),
        ("sourceNamespace: a", "sourceNamespace: a", True),
        ("sourceNamespace: a", "uri: {exact: /a}", False),
        ("uri: {exact: /a}", "sourceNamespace: a", True),
        ("sourceLabels: {app: a}", "sourceLabels: {app: b}", False),
        ("sourceLabels: {app: a}", "sourceLabels: {version: b}", True),
        ("gateways: [edge]", "gateways: [edge]", True),
        ("gateways: [edge, mesh]", "gateways: [edge]", True),
        ("gateways: [edge]", "gateways: [mesh]", False),
        ("gateways: [edge]", "uri: {exact: /a}", True),
        ("uri: {exact: /a}", "gateways: [edge]", True),
    ],
)
def test_a_part_has_to_be_one(root: str, part: str, fits: bool) -> None:
    found = rules(f"match: [{{{root}}}]", f"name: part, match: [{{{part}}}]")
    assert [rule.name for rule in found] == (["part", "own"] if fits else ["own"])


def test_matches_are_put_together() -> None:
    root = (
        "match: [{name: r, uri: {prefix: /a}, scheme: {exact: http}, headers: {x: {exact: '1'}, y: {exact: '2'}}, "
        "sourceLabels: {app: a}, gateways: [edge], port: 80, statPrefix: s}]"
    )
    part = "match: [{name: p, uri: {exact: /a/b}, headers: {z: {exact: '3'}}, sourceLabels: {version: v1}}]"
    (match,) = rules(root, f"name: part, {part}")[0].match
    assert match.name == "r-p"
    assert match.uri is not None
    assert (match.uri.exact, match.uri.prefix) == ("/a/b", None)
    assert match.scheme is not None
    assert match.scheme.exact == "http"
    assert {name: each.exact for name, each in match.headers.items()} == {"x": "1", "y": "2", "z": "3"}
    assert match.source_labels == {"app": "a", "version": "v1"}
    assert (match.gateways, match.port, match.stat_prefix) == (("edge",), 80, "s")


def test_each_match_of_the_part_is_put_together_with_each_of_the_root_that_it_fits() -> None:
    root = "match: [{name: one, uri: {prefix: /a}}, {name: two, uri: {prefix: /a/b}}, {name: three, uri: {exact: /x}}]"
    (rule, _) = rules(root, "name: part, match: [{name: p, uri: {exact: /a/b}}]")
    assert [match.name for match in rule.match] == ["one-p", "two-p"]


def test_a_rule_of_which_one_match_is_no_part_is_dropped_whole() -> None:
    found = rules("match: [{uri: {prefix: /a}}]", "name: part, match: [{uri: {exact: /a}}, {uri: {exact: /b}}]")
    assert [rule.name for rule in found] == ["own"]


@pytest.mark.parametrize(
    ("root", "part", "names"),
    [("match: [{name: r}]", "name: part", ["r"]), ("name: root", "match: [{name: p}]", ["p"])],
)
def test_without_matches_on_one_side_those_of_the_other_count(root: str, part: str, names: list[str]) -> None:
    assert [match.name for match in rules(root, part)[0].match] == names


def test_names_are_joined() -> None:
    assert [rule.name for rule in rules("name: root", "name: part", "timeout: 1s")] == ["root-part", "root", "own"]


@pytest.mark.parametrize(
    ("field", "root", "part"),
    [
        ("timeout", "1s", "2s"),
        ("retries", "{attempts: 1}", "{attempts: 2}"),
        ("rewrite", "{uri: /a}", "{uri: /b}"),
        ("fault", "{abort: {httpStatus: 500}}", "{abort: {httpStatus: 501}}"),
        ("mirrors", "[{destination: {host: a}}]", "[{destination: {host: b}}]"),
        ("corsPolicy", "{allowMethods: [GET]}", "{allowMethods: [PUT]}"),
        ("headers", "{request: {remove: [a]}}", "{request: {remove: [b]}}"),
    ],
)
def test_what_the_part_says_counts_before_what_the_root_says(field: str, root: str, part: str) -> None:
    name = {"corsPolicy": "cors_policy"}.get(field, field)

    def said(of_root: str, *of_part: str) -> Any:
        return getattr(rules(of_root, ", ".join(("name: part", *of_part)))[0], name)

    alone = said("name: root", f"{field}: {part}")
    assert said(f"{field}: {root}", f"{field}: {part}") == alone
    inherited = said(f"{field}: {root}")
    assert inherited not in (None, (), alone)


def test_a_service_without_delegates_stays_as_it_is() -> None:
    spec = VirtualService.model_validate(yaml.safe_load(f"{{hosts: [a], http: [{{{TO}}}]}}"))
    assert with_delegates(spec, lambda _delegate: None) is spec


def test_a_delegate_that_is_not_there_has_no_rules() -> None:
    spec = VirtualService.model_validate(yaml.safe_load("{hosts: [a], http: [{delegate: {name: x}}]}"))
    assert with_delegates(spec, lambda _delegate: None).http == ()
