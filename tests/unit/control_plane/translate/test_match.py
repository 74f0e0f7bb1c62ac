from typing import Any

import pytest

from control_plane.translate.match import catch_all, connect_match, header_matcher, is_catch_all, route_match
from mesh.istio.virtual_service import HTTPMatchRequest, StringMatch


def match(**fields: object) -> Any:
    return route_match(HTTPMatchRequest.model_validate(fields))


def test_no_condition_is_everything() -> None:
    assert is_catch_all(route_match(None)) and is_catch_all(catch_all()) and is_catch_all(match(name="x"))
    assert not is_catch_all(connect_match())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"uri": {"prefix": "/"}}, True),
        ({"uri": {"prefix": ""}}, False),
        ({"uri": {"regex": ".*"}}, True),
        ({"uri": {"regex": "/.*"}}, False),
        ({"uri": {"exact": "/"}}, False),
        ({"headers": {"a": {}}}, False),
        ({"queryParams": {"a": {}}}, False),
        ({"method": {"exact": "GET"}}, False),
    ],
)
def test_catch_alls(fields: dict[str, object], expected: bool) -> None:
    assert is_catch_all(match(**fields)) == expected


def test_conditions_in_a_stable_order() -> None:
    found = match(
        headers={"b": {"exact": "1"}, "a": {}},
        withoutHeaders={"c": {"prefix": "2"}, "a": {"regex": "*"}},
        scheme={"exact": "http"},
        method={"exact": "GET"},
        authority={"prefix": "x"},
        queryParams={"z": {}, "y": {"exact": ""}},
        ignoreUriCase=True,
    )
    assert [(h.name, h.invert_match) for h in found.headers] == [
        ("a", False),
        ("a", True),
        ("b", False),
        ("c", True),
        (":method", False),
        (":authority", False),
        (":scheme", False),
    ]
    assert [q.name for q in found.query_parameters] == ["y", "z"]
    assert not found.case_sensitive.value


def test_missing_headers_count_as_empty_where_values_are_compared() -> None:
    found = match(withoutHeaders={"a": {"exact": ""}, "b": {}})
    assert [h.treat_missing_header_as_empty for h in found.headers] == [True, False]


def test_header_conditions() -> None:
    assert header_matcher("a", StringMatch(exact="")).string_match.WhichOneof("match_pattern") == "exact"
    assert header_matcher("a", StringMatch(regex="b.*")).string_match.safe_regex.regex == "b.*"
    assert header_matcher("a", StringMatch()).present_match
