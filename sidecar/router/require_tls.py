"""`require_tls` of virtual hosts: plain requests are sent to the same place over https. Pure."""

from __future__ import annotations

from sidecar.config.model import PathMatch, Redirect, RequireTls, Route, RouteMatch
from sidecar.http.exchange import Exchange

TO_HTTPS = Route(RouteMatch(PathMatch.PREFIX, ""), Redirect(https=True, keep_port=True))


def lacks_tls(required: RequireTls, exchange: Exchange) -> bool:
    """Whether the request came without TLS, as far as x-forwarded-proto tells, where it must not."""
    if exchange.header(b"x-forwarded-proto") == b"https":
        return False
    return required is RequireTls.ALL or exchange.header(b"x-envoy-internal") != b"true"
