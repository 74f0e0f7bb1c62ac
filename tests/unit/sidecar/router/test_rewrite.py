"""Rewrites and redirects."""

import pytest

from sidecar.config.model import PathMatch, Redirect, Rewrite, RouteMatch
from sidecar.http.exchange import Exchange
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


def test_no_rewrite_of_the_path_is_none() -> None:
    assert path_rewrite(Rewrite(host="a"), RouteMatch(PathMatch.PREFIX, "/")) is None


@pytest.mark.parametrize(("path", "result"), [(b"/a/1?q", b"/n?q"), (b"/a/1", b"/n")])
def test_a_prefix_that_replaces_what_a_regex_matched_replaces_the_path(path: bytes, result: bytes) -> None:
    rewriter = path_rewrite(Rewrite(prefix="/n"), RouteMatch(PathMatch.REGEX, "/a/.*"))
    assert rewriter is not None
    assert rewriter(path) == result


@pytest.mark.parametrize("before", [b"", b"[::1]", b"[::1]:80", b"a", b"a:80"])
def test_the_port_of_a_redirect(before: bytes) -> None:
    exchange = Exchange(None, b"GET", b"/", [], 0.0)
    exchange.authority = before
    name = before.removesuffix(b":80")
    assert redirect_location(Redirect(port=81), None, exchange) == b"http://%b:81/" % name


@pytest.mark.parametrize(
    ("scheme", "authority", "redirect", "location"),
    [
        (b"https", b"a:443", Redirect(scheme="http"), b"http://a/"),
        (b"https", b"a:80", Redirect(scheme="http"), b"http://a:80/"),
        (b"https", b"a:443", Redirect(https=True), b"https://a:443/"),
        (b"http", b"a:80", Redirect(https=True, host="b:80"), b"https://b:80/"),
        (b"http", b"a:80", Redirect(scheme="ws", https=True), b"ws://a/"),
        (b"wss", b"a:80", Redirect(https=True), b"https://a:80/"),
    ],
)
def test_only_the_default_port_of_the_scheme_before_goes(
    scheme: bytes, authority: bytes, redirect: Redirect, location: bytes
) -> None:
    exchange = Exchange(None, b"GET", b"/", [], 0.0)
    exchange.authority, exchange.scheme = authority, scheme
    assert redirect_location(redirect, None, exchange) == location


def test_the_path_of_a_redirect_is_rewritten_unless_it_is_given() -> None:
    exchange = Exchange(None, b"GET", b"/a/x?q", [], 0.0)
    exchange.authority = b"h"
    rewriter = path_rewrite(Redirect(prefix="/b"), RouteMatch(PathMatch.PREFIX, "/a"))
    assert redirect_location(Redirect(prefix="/b"), rewriter, exchange) == b"http://h/b/x?q"
    assert redirect_location(Redirect(path="/c", strip_query=True), rewriter, exchange) == b"http://h/c"


def test_the_path_before_is_told() -> None:
    request = rewritten(Rewrite(path_format="/new"))
    assert request.header(b"x-envoy-original-path") == b"/a/b?c"


def test_a_host_made_of_the_path_is_made_of_the_one_that_came() -> None:
    request = Exchange(None, b"GET", b"/rewritten", [], 0.0)
    request.original_path, request.authority = b"/asked?q", b"h"
    for mutate in late_rewrites(Rewrite(host_regex=("^/(.+)$", r"\1.test"))):
        mutate(request, request.headers)
    assert request.authority == b"asked.test"


def test_without_a_host_before_none_is_forwarded() -> None:
    request = Exchange(None, b"GET", b"/", [], 0.0)
    rewrite_host(request, b"new", append_forwarded=True)
    assert request.header(b"x-forwarded-host") is None
    assert rewritten(Rewrite(host_format="new")).header(b"x-forwarded-host") is None
