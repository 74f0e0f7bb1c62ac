"""Joined matches, against what the two say one by one: a request passes the result where it passes both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.experiments.matches import MatchError, both

WORDS = st.sampled_from(["a", "A", "ab", "aB", "abc", "b"])
KINDS = st.sampled_from(["exact", "prefix", "regex"])
TEXT = st.builds(lambda kind, word: {kind: word if kind != "regex" else f"{word}.?"}, KINDS, WORDS)
SOME = st.one_of(TEXT, st.just({}))
NAMES = st.sampled_from(["x", "y"])
MATCH = st.fixed_dictionaries(
    {},
    optional={
        "uri": TEXT,
        "method": TEXT,
        "ignoreUriCase": st.booleans(),
        "headers": st.dictionaries(NAMES, SOME, max_size=2),
        "withoutHeaders": st.dictionaries(NAMES, st.one_of(SOME, st.just({"regex": "*"})), max_size=2),
        "port": st.sampled_from([80, 81]),
        "sourceLabels": st.dictionaries(NAMES, st.sampled_from(["1", "2"]), max_size=2),
        "gateways": st.lists(st.sampled_from(["mesh", "in"]), min_size=1, max_size=2, unique=True),
    },
)
REQUEST = st.fixed_dictionaries(
    {
        "uri": WORDS,
        "method": WORDS,
        "headers": st.dictionaries(NAMES, WORDS, max_size=2),
        "port": st.sampled_from([80, 81]),
        "labels": st.fixed_dictionaries({"x": st.sampled_from(["1", "2"]), "y": st.sampled_from(["1", "2"])}),
        "gateway": st.sampled_from(["mesh", "in"]),
    }
)


def text_passes(text: str | None, match: Mapping[str, str], folded: bool = False) -> bool:
    if text is None or not match:
        return text is not None
    ((kind, wanted),) = match.items()
    if kind == "regex":
        return wanted == "*" or re.fullmatch(wanted, text) is not None
    if folded:
        text, wanted = text.lower(), wanted.lower()
    return text == wanted if kind == "exact" else text.startswith(wanted)


def passes(request: Mapping[str, Any], match: Mapping[str, Any]) -> bool:
    """As Istio has it: all fields hold."""
    headers, folded = request["headers"], match.get("ignoreUriCase", False)
    return (
        ("uri" not in match or text_passes(request["uri"], match["uri"], folded))
        and ("method" not in match or text_passes(request["method"], match["method"]))
        and all(text_passes(headers.get(name), each) for name, each in match.get("headers", {}).items())
        and not any(text_passes(headers.get(name), each) for name, each in match.get("withoutHeaders", {}).items())
        and match.get("port", request["port"]) == request["port"]
        and all(request["labels"][name] == each for name, each in match.get("sourceLabels", {}).items())
        and request["gateway"] in match.get("gateways", [request["gateway"]])
    )


def passes_any(request: Mapping[str, Any], matches: Sequence[Mapping[str, Any]]) -> bool:
    return any(passes(request, each) for each in matches or [{}])


@given(st.lists(MATCH, max_size=2), st.lists(MATCH, max_size=2), st.lists(REQUEST, min_size=1, max_size=8))
def test_what_passes_both_passes_the_result_and_nothing_else(
    route: list[Any], added: list[Any], requests: list[Any]
) -> None:
    try:
        found = both(route, added)
    except MatchError:
        return
    for request in requests:
        expected = passes_any(request, route) and passes_any(request, added)
        assert (bool(found) and passes_any(request, found)) is expected, found


def test_two_that_can_be_said_together_are() -> None:
    jason = {"headers": {"end-user": {"exact": "jason"}}}
    assert both([{"uri": {"prefix": "/api"}}], [jason]) == [{"uri": {"prefix": "/api"}, **jason}]
    assert both([{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}], [{"uri": {"exact": "/b/1"}}]) == [
        {"uri": {"exact": "/b/1"}}
    ]
    assert both([], [jason]) == both([jason], []) == [jason]
    assert both(
        [{"ignoreUriCase": True, "uri": {"exact": "/A"}}], [{"uri": {"prefix": "/"}, "ignoreUriCase": True}]
    ) == [{"uri": {"exact": "/A"}, "ignoreUriCase": True}]


@pytest.mark.parametrize(
    ("route", "added"),
    [
        ({"headers": {"cookie": {"regex": "a=.*"}}}, {"headers": {"cookie": {"regex": "b=.*"}}}),
        ({"uri": {"regex": "/a.*"}}, {"uri": {"prefix": "/a"}}),
        ({"uri": {"exact": "/a"}, "ignoreUriCase": True}, {"uri": {"exact": "/a"}}),
    ],
)
def test_what_no_match_says_is_refused(route: Any, added: Any) -> None:
    with pytest.raises(MatchError, match=r"headers\.cookie|uri"):
        both([route], [added])
