"""Which route a request takes: hosts, paths, headers, query parameters, weights."""

from __future__ import annotations

from typing import Any

from tests.oracle.case import Case, request


def answer(name: str, **match: Any) -> dict[str, Any]:
    """A route that says its own name."""
    return {"name": name, "match": match or {"prefix": "/"}, "direct_response": _body(name)}


def _body(text: str) -> dict[str, Any]:
    return {"status": 200, "body": {"inline_string": text}}


def header(name: str, **how: Any) -> dict[str, Any]:
    return {"prefix": "/", "headers": [{"name": name, **how}]}


def query(name: str, **how: Any) -> dict[str, Any]:
    return {"prefix": "/", "query_parameters": [{"name": name, **how}]}


def picks(name: str, routes: list[dict[str, Any]], sent: bytes, expected: str | None) -> Case:
    """A case in which the first response's body names the route that was taken; None: no route."""
    if expected is None:
        return Case(name, sent, routes=routes, expect={"client[0].status": 404, "log[0].flags": "NR"})
    return Case(name, sent, routes=routes, expect={"client[0].body": expected.encode(), "log[0].route": expected})


def matches(name: str, match: dict[str, Any], sent: bytes, yes: bool) -> Case:
    return picks(name, [answer("matched", **match), answer("other")], sent, "matched" if yes else "other")


def string(**how: Any) -> dict[str, Any]:
    return {"string_match": how}


def regex(pattern: str) -> dict[str, Any]:
    return {"safe_regex": {"regex": pattern}}


CASES = (
    # Paths.
    picks("route_first_match_wins", [answer("a", prefix="/x"), answer("b", prefix="/x/y")], request("/x/y"), "a"),
    picks("route_none_matches", [answer("a", prefix="/x")], request("/y"), None),
    matches("route_prefix_is_plain_text", {"prefix": "/v2"}, request("/v2example"), True),
    matches("route_prefix_case_sensitive", {"prefix": "/Foo"}, request("/foo"), False),
    matches("route_prefix_ignoring_case", {"prefix": "/Foo", "case_sensitive": False}, request("/fOO/x"), True),
    matches("route_path_exact", {"path": "/foo"}, request("/foo"), True),
    matches("route_path_exact_ignores_query", {"path": "/foo"}, request("/foo?a=b"), True),
    matches("route_path_exact_longer", {"path": "/foo"}, request("/foo/"), False),
    matches("route_path_ignoring_case", {"path": "/foo", "case_sensitive": False}, request("/FOO"), True),
    matches("route_separated_prefix_itself", {"path_separated_prefix": "/foo"}, request("/foo"), True),
    matches("route_separated_prefix_below", {"path_separated_prefix": "/foo"}, request("/foo/bar"), True),
    matches("route_separated_prefix_query", {"path_separated_prefix": "/foo"}, request("/foo?x"), True),
    matches("route_separated_prefix_longer", {"path_separated_prefix": "/foo"}, request("/foobar"), False),
    matches("route_regex_full_match", regex("/b[io]t"), request("/bit?x=1"), True),
    matches("route_regex_not_partial", regex("/b[io]t"), request("/bite"), False),
    # Headers.
    matches("header_exact", header("x-a", **string(exact="1")), request("/", "X-A: 1"), True),
    matches("header_exact_differs", header("x-a", **string(exact="1")), request("/", "X-A: 2"), False),
    matches(
        "header_exact_ignoring_case",
        header("x-a", **string(exact="One", ignore_case=True)),
        request("/", "X-A: oNE"),
        True,
    ),
    matches("header_prefix", header("x-a", **string(prefix="ab")), request("/", "X-A: abc"), True),
    matches("header_suffix", header("x-a", **string(suffix="bc")), request("/", "X-A: abc"), True),
    matches("header_contains", header("x-a", **string(contains="b")), request("/", "X-A: abc"), True),
    matches("header_regex_full", header("x-a", **string(**regex("a.c"))), request("/", "X-A: abc"), True),
    matches("header_regex_not_partial", header("x-a", **string(**regex("a.c"))), request("/", "X-A: abcd"), False),
    matches("header_present", header("x-a", present_match=True), request("/", "X-A:"), True),
    matches("header_present_missing", header("x-a", present_match=True), request("/"), False),
    matches("header_absent", header("x-a", present_match=False), request("/"), True),
    matches("header_range", header("x-a", range_match={"start": 1, "end": 10}), request("/", "X-A: 9"), True),
    matches(
        "header_range_end_excluded", header("x-a", range_match={"start": 1, "end": 10}), request("/", "X-A: 10"), False
    ),
    matches(
        "header_range_no_number", header("x-a", range_match={"start": 1, "end": 10}), request("/", "X-A: 5x"), False
    ),
    matches("header_inverted", header("x-a", **string(exact="1"), invert_match=True), request("/", "X-A: 2"), True),
    matches("header_inverted_missing", header("x-a", **string(exact="1"), invert_match=True), request("/"), False),
    matches(
        "header_inverted_missing_as_empty",
        header("x-a", **string(exact="1"), invert_match=True, treat_missing_header_as_empty=True),
        request("/"),
        True,
    ),
    matches("header_repeated_first", header("x-a", **string(exact="1")), request("/", "X-A: 1", "X-A: 2"), True),
    matches("header_repeated_last", header("x-a", **string(exact="2")), request("/", "X-A: 1", "X-A: 2"), True),
    matches("header_repeated_joined", header("x-a", **string(exact="1,2")), request("/", "X-A: 1", "X-A: 2"), False),
    matches(
        "header_repeated_inverted",
        header("x-a", **string(exact="1"), invert_match=True),
        request("/", "X-A: 1", "X-A: 2"),
        False,
    ),
    matches("header_method", header(":method", **string(exact="POST")), request("/", method="POST"), True),
    matches("header_authority", header(":authority", **string(prefix="header-authority")), request("/"), True),
    matches("header_any_name_for_host", header("host", present_match=True), request("/"), True),
    # Query parameters.
    matches("query_exact", query("a", **string(exact="1")), request("/?b=2&a=1"), True),
    matches("query_first_value_counts", query("a", **string(exact="1")), request("/?a=2&a=1"), False),
    matches("query_present", query("a", present_match=True), request("/?a"), True),
    matches("query_empty_value", query("a", **string(exact="")), request("/?a"), True),
    matches("query_missing", query("a", present_match=True), request("/?b"), False),
    matches("query_regex", query("a", **string(**regex(r"\d+"))), request("/?a=12"), True),
    matches("query_is_not_decoded", query("a", **string(exact="x y")), request("/?a=x%20y"), False),
    # Chances and clusters.
    picks(
        "fraction_zero",
        [answer("a", prefix="/", runtime_fraction={"default_value": {"numerator": 0}}), answer("b")],
        request("/"),
        "b",
    ),
    Case(
        "weighted_zero_and_hundred",
        request("/x"),
        action={
            "weighted_clusters": {"clusters": [{"name": "nowhere", "weight": 0}, {"name": "%CLUSTER%", "weight": 7}]},
            "cluster": None,
        },
        expect={"client[0].status": 200, "log[0].cluster": "weighted_zero_and_hundred"},
    ),
    Case(
        "weighted_with_header_operations",
        request("/x", "X-Gone: 1"),
        action={
            "cluster": None,
            "weighted_clusters": {
                "clusters": [
                    {
                        "name": "%CLUSTER%",
                        "weight": 100,
                        "request_headers_to_add": [{"header": {"key": "x-weighted", "value": "yes"}}],
                        "request_headers_to_remove": ["x-gone"],
                        "response_headers_to_add": [{"header": {"key": "x-back", "value": "yes"}}],
                    }
                ]
            },
        },
        expect={"client[0].header.x-back": ("yes",), "upstream[0].header.x-weighted": ("yes",)},
    ),
    Case(
        "weighted_unknown_cluster",
        request("/x"),
        action={"weighted_clusters": {"clusters": [{"name": "nowhere", "weight": 100}]}, "cluster": None},
        expect={"client[0].status": 503, "log[0].flags": "NC"},
    ),
)
