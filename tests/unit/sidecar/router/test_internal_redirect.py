"""Which redirects of upstreams are followed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model import InternalRedirects
from sidecar.router.internal_redirect import Refusal, Target, Trail, accepts, refused_before, target_of


@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"http://a/b?c#d", Target(b"http", b"a", b"/b?c")),
        (b"HTTPS://a:1", Target(b"https", b"a:1", b"/")),
        (b"http://a?b", Target(b"http", b"a", b"/?b")),
        (b"http://a#b", Target(b"http", b"a", b"/")),
        (b"http:///b", None),
        (b"//a/b", None),
        (b"/b", None),
        (b"", None),
    ],
)
def test_where_a_location_leads(location: bytes, target: Target | None) -> None:
    assert target_of(location) == target


@given(st.binary())
def test_any_location_is_read(location: bytes) -> None:
    target = target_of(location)
    assert target is None or (target.path[:1] == b"/" and target.authority and b"#" not in target.path)


@pytest.mark.parametrize(
    ("policy", "location", "redirects", "refusal"),
    [
        (InternalRedirects(), b"nowhere", 0, Refusal.BAD_LOCATION),
        (InternalRedirects(), b"https://a/", 0, Refusal.UNSAFE_SCHEME),
        (InternalRedirects(), b"ftp://a/", 0, Refusal.UNSAFE_SCHEME),
        (InternalRedirects(cross_scheme=True), b"ftp://a/", 0, Refusal.BAD_LOCATION),
        (InternalRedirects(limit=2), b"http://a/", 2, Refusal.TOO_MANY),
        (InternalRedirects(limit=0), b"http://a/", 0, Refusal.TOO_MANY),
    ],
)
def test_refusals(policy: InternalRedirects, location: bytes, redirects: int, refusal: Refusal) -> None:
    trail = Trail()
    trail.redirects = redirects
    assert refused_before(policy, b"http", location, trail) is refusal


def test_what_is_followed() -> None:
    policy = InternalRedirects(limit=2, cross_scheme=True)
    trail = Trail()
    trail.redirects = 1
    assert refused_before(policy, b"http", b"https://a/", trail) == Target(b"https", b"a", b"/")


HTTP, HTTPS = Target(b"http", b"a", b"/"), Target(b"https", b"a", b"/")


@pytest.mark.parametrize(
    ("policy", "target", "scheme", "accepted"),
    [
        (InternalRedirects(), HTTP, b"http", True),
        (InternalRedirects(allowed_routes=frozenset({"to"})), HTTP, b"http", True),
        (InternalRedirects(allowed_routes=frozenset({"other"})), HTTP, b"http", False),
        (InternalRedirects(allowed_routes=frozenset()), HTTP, b"http", False),
        (InternalRedirects(safe_scheme=True), HTTPS, b"http", False),
        (InternalRedirects(cross_scheme=True), HTTPS, b"http", True),
        (InternalRedirects(safe_scheme=True), HTTPS, b"https", True),
        (InternalRedirects(safe_scheme=True), HTTP, b"https", True),
    ],
)
def test_predicates(policy: InternalRedirects, target: Target, scheme: bytes, accepted: bool) -> None:
    assert accepts(policy, target, scheme, ("from", "to"), Trail()) is accepted


def test_no_route_is_entered_twice_from_the_same() -> None:
    policy, trail = InternalRedirects(no_route_twice=True), Trail()
    assert accepts(policy, HTTP, b"http", ("a", "b"), trail)
    assert accepts(policy, HTTP, b"http", ("b", "b"), trail)
    assert not accepts(policy, HTTP, b"http", ("a", "b"), trail)


def test_a_new_trail_is_empty() -> None:
    trail = Trail()
    assert (trail.redirects, trail.entered) == (0, set())


@pytest.mark.parametrize(
    ("location", "scheme"),
    [(b"a+b-c.1://h/", b"a+b-c.1"), (b"1a://h/", None), (b" http://h/", None), (b"http:/h", None)],
)
def test_schemes(location: bytes, scheme: bytes | None) -> None:
    target = target_of(location)
    assert (target.scheme if target is not None else None) == scheme


def test_a_route_that_was_refused_is_not_entered() -> None:
    policy, trail = InternalRedirects(no_route_twice=True, safe_scheme=True), Trail()
    assert not accepts(policy, HTTPS, b"http", ("a", "b"), trail)
    assert trail.entered == set()
    assert accepts(InternalRedirects(), HTTP, b"http", ("a", "b"), trail)
    assert trail.entered == set()  # only who asks for it keeps them
