"""VirtualServices of experiments: what changes, what stays, and that each of them is accepted."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mesh.experiments.routes import (
    ANNOTATION,
    Injection,
    RouteError,
    Split,
    inject,
    mirror,
    same_host,
    settle,
    split,
)
from mesh.istio.load import load_documents

CHANGE = Split("reviews", "v1", "v3", 20)


def service(*http: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "annotations": {"a": "b"}},
        "spec": {"hosts": ["reviews"], "http": list(http)},
    }


def to(host: str, subset: str = "v1", **route: Any) -> dict[str, Any]:
    return {"route": [{"destination": {"host": host, "subset": subset}}], **route}


def accepted(document: dict[str, Any]) -> list[dict[str, Any]]:
    load_documents([document])
    http: list[dict[str, Any]] = document["spec"]["http"]
    return http


def weights(route: dict[str, Any]) -> list[tuple[str, int]]:
    return [(each["destination"]["subset"], each.get("weight", 0)) for each in route["route"]]


def test_a_split_keeps_all_but_the_destinations() -> None:
    before = service(to("reviews", timeout="3s", retries={"attempts": 2}), to("ratings"))
    after = split(before, "reviews", "default", CHANGE, "exp")
    first, second = accepted(after)
    assert weights(first) == [("v1", 80), ("v3", 20)]
    assert (first["timeout"], first["retries"]) == ("3s", {"attempts": 2})
    assert second == to("ratings")
    assert after["metadata"]["annotations"] == {"a": "b", ANNOTATION: "exp"}
    assert before == service(to("reviews", timeout="3s", retries={"attempts": 2}), to("ratings"))


def test_without_a_virtual_service_one_is_made() -> None:
    made = split(None, "reviews", "shop", CHANGE, "exp")
    assert [weights(route) for route in accepted(made)] == [[("v1", 80), ("v3", 20)]]
    assert made["metadata"]["namespace"] == "shop"


def test_a_route_to_nobody_concerned_is_an_error() -> None:
    with pytest.raises(RouteError, match="none of its routes leads to reviews"):
        split(service(to("ratings")), "reviews", "default", CHANGE, "exp")


def test_settling() -> None:
    after = settle(service(to("reviews", timeout="3s")), "reviews", "default", CHANGE, "v3", "exp")
    assert accepted(after) == [to("reviews", "v3", timeout="3s")]


def test_a_match_splits_only_what_it_matches() -> None:
    match = ({"headers": {"end-user": {"exact": "jason"}}},)
    change = Split("reviews", "v1", "v3", 50, match=match)
    inner, rest = accepted(split(service(to("reviews")), "reviews", "default", change, "exp"))
    assert inner["match"] == list(match)
    assert weights(inner) == [("v1", 50), ("v3", 50)]
    assert weights(rest) == [("v1", 0)]


def test_a_fault_stands_before_what_it_does_not_match() -> None:
    fault = {"abort": {"httpStatus": 503, "percentage": {"value": 50}}}
    match = ({"headers": {"end-user": {"exact": "jason"}}},)
    faulty, rest = accepted(
        inject(service(to("reviews")), "reviews", "default", Injection("reviews", fault, match), "e")
    )
    assert (faulty["fault"], faulty["match"]) == (fault, list(match))
    assert rest == to("reviews")
    (all_of_it,) = accepted(inject(service(to("reviews")), "reviews", "default", Injection("reviews", fault), "e"))
    assert all_of_it["fault"] == fault


def test_a_route_s_own_match_stays() -> None:
    """Of two routes with matches of their own, each is split or made faulty only for what it matched before."""
    own, jason = {"uri": {"prefix": "/api"}}, {"headers": {"end-user": {"exact": "jason"}}}
    injection = Injection("reviews", {"abort": {"httpStatus": 503}}, (jason,))
    document = service(to("reviews", match=[own]), to("reviews"))
    first, plain, second, rest = accepted(inject(document, "reviews", "default", injection, "e"))
    assert [first["match"], second["match"]] == [[{**own, **jason}], [jason]]
    assert (plain, rest) == (to("reviews", match=[own]), to("reviews"))
    change = Split("reviews", "v1", "v3", 50, match=(jason,))
    first, others, *_ = accepted(split(document, "reviews", "default", change, "e"))
    assert first["match"] == [{**own, **jason}]
    assert (others["match"], weights(others)) == ([own], [("v1", 0)])


def test_a_match_that_no_request_of_a_route_has_leaves_it_alone() -> None:
    injection = Injection("reviews", {"abort": {"httpStatus": 503}}, ({"method": {"exact": "GET"}},))
    route = to("reviews", match=[{"method": {"exact": "POST"}}])
    assert accepted(inject(service(route), "reviews", "default", injection, "e")) == [route]


def test_what_cannot_be_matched_together_is_refused_with_its_place() -> None:
    change = Split("reviews", "v1", "v3", 50, cookie="version")
    route = to("reviews", match=[{"headers": {"cookie": {"regex": "user=jason"}}}])
    with pytest.raises(RouteError, match=r"VirtualService/default/reviews: .*headers\.cookie"):
        split(service(route), "reviews", "default", change, "e")


def test_sticky_users_move_on_one_way() -> None:
    """Of those who had the baseline in a step before, only so many move on that all in all it is the new weight."""
    change = Split("reviews", "v1", "v3", 50, cookie="version", step=1, before=20)
    routes = accepted(split(service(to("reviews", timeout="3s")), "reviews", "default", change, "exp"))
    assert all(route["timeout"] == "3s" for route in routes)
    candidate, here, earlier, new = routes
    assert weights(candidate) == [("v3", 0)]
    assert weights(here) == [("v1", 0)]
    moving = dict(weights(earlier))["v3"] / 100
    assert 0.2 + 0.8 * moving == pytest.approx(0.5, abs=0.005)
    assert weights(new) == [("v1", 50), ("v3", 50)]
    patterns = [route["match"][0]["headers"]["cookie"]["regex"] for route in (candidate, here, earlier)]
    for cookie, which in (
        ("version=candidate", 0),
        ("a=b; version=baseline-1; c=d", 1),
        ("version=baseline-0", 2),
        ("xversion=candidate", None),
        ("a=b", None),
    ):
        found = [index for index, pattern in enumerate(patterns) if re.fullmatch(pattern, cookie)]
        assert found[:1] == ([] if which is None else [which]), cookie
    given = {each["headers"]["response"]["add"]["set-cookie"].partition(";")[0] for each in new["route"]}
    assert given == {"version=candidate", "version=baseline-1"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("reviews", "reviews.default.svc.cluster.local", True),
        ("reviews.default", "reviews.default.svc.cluster.local", True),
        ("Reviews", "reviews", True),
        ("reviews.other", "reviews.default.svc.cluster.local", False),
        ("reviews", "ratings", False),
    ],
)
def test_hosts(one: str, other: str, same: bool) -> None:
    assert same_host(one, other) is same


COPY = {"destination": {"host": "reviews", "subset": "v3"}, "percentage": {"value": 30}}
OTHER = {"destination": {"host": "audit"}, "percentage": {"value": 5}}


@pytest.mark.parametrize(
    ("more", "before"),
    [
        ({}, []),
        ({"mirrors": [OTHER]}, [OTHER]),
        ({"mirror": {"host": "audit"}}, [{"destination": {"host": "audit"}}]),
        ({"mirror": {"host": "audit"}, "mirrorPercentage": {"value": 5}}, [OTHER]),
        ({"mirror": {"host": "audit"}, "mirrorPercent": 5}, [OTHER]),
        ({"mirror": {"host": "audit"}, "mirror_percent": 5}, [OTHER]),
    ],
)
def test_a_mirror_leaves_users_with_the_baseline(more: dict[str, Any], before: list[Any]) -> None:
    route = to("reviews", timeout="3s", **more)
    route["route"] = [{"destination": {"host": "reviews", "subset": each}, "weight": 50} for each in ("v1", "v2")]
    first, second = accepted(mirror(service(route, to("ratings")), "reviews", "default", CHANGE, 30, "exp"))
    assert first == {**to("reviews", timeout="3s"), "mirrors": [*before, COPY]}
    assert second == to("ratings")
