"""Rewrites, redirects, normal paths."""

import pytest

from sidecar.config.model import PathMatch, Redirect, Rewrite, RouteMatch
from sidecar.exchange import Exchange
from sidecar.router.path import normalize
from sidecar.router.rewrite import path_rewrite, redirect_location


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
        (Redirect(https=True, port=443), b"https://a/p?q"),
        (Redirect(port=8443, https=True), b"https://a:8443/p?q"),
        (Redirect(path="/n"), b"http://a:8080/n?q"),
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
