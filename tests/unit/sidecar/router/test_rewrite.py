"""Rewrites, redirects, normal paths."""

import pytest

from sidecar.config.model import PathMatch, Redirect, Rewrite, RouteMatch
from sidecar.http.exchange import Exchange
from sidecar.router.path import normalize
from sidecar.router.rewrite import late_rewrites, path_rewrite, redirect_location, rewrite_host


@pytest.mark.parametrize(
    ("rewrite", "match", "path", "result"),
    [
        (Rewrite(prefix="/b"), RouteMatch(PathMatch.PREFIX, "/a"), b"/a/x?q", b"/b/x?q"),
        (Rewrite(prefix="/"), RouteMatch(PathMatch.PREFIX, "/a/"), b"/a/x", b"/x"),
        (Rewrite(prefix="/b"), RouteMatch(PathMatch.PATH, "/a"), b"/a?q", b"/b?q"),
        (Rewrite(regex=("/a/([0-9]+)", r"/n/\1")), RouteMatch(PathMatch.PREFIX, "/"), b"/a/12?q=/a/3", b"/n/12?q=/a/3"),
    ],
)
def test_path_rewrites(rewrite: Rewrite, match: RouteMatch, path: bytes, result: bytes) -> None:
    rewriter = path_rewrite(rewrite, match)
    assert rewriter is not None
    assert rewriter(path) == result


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        (Redirect(host="b"), b"http://b/p?q"),
        (Redirect(https=True), b"https://a:8080/p?q"),
        (Redirect(https=True, port=443), b"https://a:443/p?q"),
        (Redirect(port=8443, https=True), b"https://a:8443/p?q"),
        (Redirect(path="/n"), b"http://a:8080/n?q"),
        (Redirect(host="b:80", https=True), b"https://b:80/p?q"),
        (Redirect(path="/n?z"), b"http://a:8080/n?z"),
        (Redirect(strip_query=True), b"http://a:8080/p"),
    ],
)
def test_redirects(redirect: Redirect, location: bytes) -> None:
    exchange = Exchange(None, b"GET", b"/p?q", [], 0.0)
    exchange.authority = b"a:8080"
    assert redirect_location(redirect, None, exchange) == location


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        (b"/a/../b/./c", b"/b/c"),
        (b"/a/..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/..", b"/"),
        (b"/%2e%2e/a", b"/a"),
        (b"/a%2Fb", b"/a%2Fb"),
        (b"/a?x=/../y", b"/a?x=/../y"),
        (b"/%00", None),
    ],
)
def test_normal_paths(path: bytes, normal: bytes | None) -> None:
    assert normalize(path, dots=True, slashes=False) == normal


def test_slashes_merge() -> None:
    assert normalize(b"//a///b?c=//", dots=False, slashes=True) == b"/a/b?c=//"


def rewritten(rewrite: Rewrite, *headers: tuple[bytes, bytes], path: bytes = b"/a/b?c") -> Exchange:
    request = Exchange(None, b"GET", path, list(headers), 0.0)
    request.authority = b"asked.test"
    for mutate in late_rewrites(rewrite):
        mutate(request, request.headers)
    return request


@pytest.mark.parametrize(
    ("rewrite", "headers", "authority"),
    [
        (Rewrite(host_header=b"x-host"), [(b"x-host", b"a"), (b"x-host", b"b")], b"a"),
        (Rewrite(host_header=b"x-host"), [(b"x-host", b"")], b"asked.test"),
        (Rewrite(host_header=b"x-host"), [], b"asked.test"),
        (Rewrite(host_regex=("^/(.+)/(.+)$", r"\2.\1")), [], b"b.a"),
        (Rewrite(host_format="%REQ(x)%.test"), [(b"x", b"y")], b"y.test"),
        (Rewrite(), [], b"asked.test"),
    ],
)
def test_hosts_that_depend_on_the_request(
    rewrite: Rewrite, headers: list[tuple[bytes, bytes]], authority: bytes
) -> None:
    request = rewritten(rewrite, *headers)
    assert request.authority == authority
    assert request.header(b"x-envoy-original-host") == (None if authority == b"asked.test" else b"asked.test")


def test_the_host_before_is_told() -> None:
    rewrite = Rewrite(host_format="new", append_forwarded_host=True)
    assert rewritten(rewrite).header(b"x-forwarded-host") == b"asked.test"
    assert rewritten(rewrite, (b"x-forwarded-host", b"a")).header(b"x-forwarded-host") == b"a,asked.test"


@pytest.mark.parametrize(
    ("written", "path", "before"),
    [("/%REQ(x)%/z", b"/y/z?c", b"/a/b?c"), ("%REQ(nothing)%", b"/a/b?c", b""), ("%REQ(x)%", b"/a/b?c", b"")],
)
def test_paths_that_depend_on_the_request(written: str, path: bytes, before: bytes) -> None:
    request = rewritten(Rewrite(path_format=written), (b"x", b"y"))
    assert (request.path, request.original_path) == (path, before)


@pytest.mark.fault("F:sidecar/router/rewrite.py:58")
def test_a_second_rewrite_keeps_the_host_that_was_asked_for() -> None:
    request = Exchange(None, b"GET", b"/", [], 0.0)
    request.authority = b"asked"
    for host in (b"first", b"second"):
        rewrite_host(request, host, append_forwarded=True)
    assert (request.authority, request.original_authority) == (b"second", b"asked")
    assert request.header(b"x-envoy-original-host") == b"asked"
    assert request.header(b"x-forwarded-host") == b"asked,first"


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        (Redirect(https=True), b"https://a/p?q"),
        (Redirect(https=True, keep_port=True), b"https://a:80/p?q"),
        (Redirect(path="/n"), b"http://a:80/n?q"),
        (Redirect(port=81), b"http://a:81/p?q"),
    ],
)
def test_the_port_that_the_old_scheme_implied_goes_with_it(redirect: Redirect, location: bytes) -> None:
    exchange = Exchange(None, b"GET", b"/p?q", [], 0.0)
    exchange.authority = b"a:80"
    assert redirect_location(redirect, None, exchange) == location
