"""Virtual hosts that want TLS."""

from __future__ import annotations

import pytest

from sidecar.config.model import PathMatch, Redirect, RequireTls, Route, RouteConfig, RouteMatch, VirtualHost
from sidecar.router.require_tls import lacks_tls
from sidecar.router.rewrite import redirect_location
from sidecar.router.table import RouteTable
from tests.unit.sidecar.router.test_table import exchange


@pytest.mark.parametrize(
    ("required", "headers", "lacks"),
    [
        (RequireTls.ALL, {}, True),
        (RequireTls.ALL, {"x_forwarded_proto": b"https"}, False),
        (RequireTls.ALL, {"x_forwarded_proto": b"http", "x_envoy_internal": b"true"}, True),
        (RequireTls.EXTERNAL_ONLY, {"x_envoy_internal": b"true"}, False),
        (RequireTls.EXTERNAL_ONLY, {"x_forwarded_proto": b"http"}, True),
    ],
)
def test_who_lacks_it(required: RequireTls, headers: dict[str, bytes], lacks: bool) -> None:
    assert lacks_tls(required, exchange(**headers)) is lacks


def test_they_are_sent_to_https() -> None:
    route = Route(RouteMatch(PathMatch.PREFIX, "/a"), Redirect(), name="own")
    host = VirtualHost("v", ("*",), (route,), require_tls=RequireTls.ALL)
    routes = RouteTable(RouteConfig("r", (host,)))
    request = exchange(b"/b?c", b"h:80")
    found = routes.find(request)
    assert found is not None
    assert isinstance(found.action, Redirect)
    assert found.action.code == 301
    assert redirect_location(found.action, found.path_rewrite, request) == b"https://h:80/b?c"
    request.headers.append((b"x-forwarded-proto", b"https"))
    assert routes.find(request) is None
    request.path = b"/a"
    own = routes.find(request)
    assert own is not None
    assert own.name == "own"
