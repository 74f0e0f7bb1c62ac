from __future__ import annotations

from typing import Any

import pytest

from mesh.istio.virtual_service_cors import UnmatchedPreflights
from tests.unit.mesh.istio.documents import accepted, refused, route


def test_values() -> None:
    policy = {
        "allowOrigins": [{"exact": "http://a"}, {"regex": ".*"}],
        "allowMethods": ["GET", "*"],
        "allowHeaders": ["x-a"],
        "maxAge": "24h",
        "allowCredentials": False,
        "unmatchedPreflights": "IGNORE",
    }
    found = accepted("VirtualService", route(corsPolicy=policy)).http[0].cors_policy
    assert [origin.exact for origin in found.allow_origins] == ["http://a", None]
    assert found.max_age == 86400.0
    assert found.allow_credentials is False
    assert found.unmatched_preflights is UnmatchedPreflights.IGNORE
    assert accepted("VirtualService", route(corsPolicy={})).http[0].cors_policy.allow_credentials is None


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"allowOrigins": [{}]}, "allowOrigins[0]: must be one of exact, prefix or regex"),
        ({"allowOrigins": [{"regex": "("}]}, "allowOrigins[0].regex: "),
        ({"allowMethods": ["GET", "get"]}, "allowMethods[1]: must be one of GET, HEAD"),
        ({"allowHeaders": ["a b"]}, 'allowHeaders[0]: "a b" is not a header name'),
        ({"exposeHeaders": [""]}, 'exposeHeaders[0]: "" is not a header name'),
        ({"maxAge": "1.5s"}, "maxAge: must be whole seconds, not 1.5s"),
        ({"unmatchedPreflights": "DROP"}, "unmatchedPreflights: "),
    ],
)
def test_what_is_refused(policy: dict[str, Any], expected: str) -> None:
    (found,) = refused("VirtualService", route(corsPolicy=policy))
    assert found.startswith(f"http[0].corsPolicy.{expected}")
