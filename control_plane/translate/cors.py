"""VirtualService `corsPolicy` → the CORS filter's policy for a route."""

from __future__ import annotations

from typing import Any, Final

from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy as EnvoyPolicy
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from mesh.istio.virtual_service import StringMatch
from mesh.istio.virtual_service_cors import CorsPolicy, UnmatchedPreflights

CORS_FILTER: Final = "envoy.filters.http.cors"


def cors_policy(policy: CorsPolicy) -> Any:
    """Settings as Istio's: preflights of origins that do not match are forwarded unless the policy says otherwise."""
    origins = policy.allow_origins or [StringMatch(exact=origin) for origin in policy.allow_origin]
    out = EnvoyPolicy(
        allow_origin_string_match=[_origin(origin) for origin in origins],
        allow_methods=",".join(policy.allow_methods),
        allow_headers=",".join(policy.allow_headers),
        expose_headers=",".join(policy.expose_headers),
    )
    if policy.max_age is not None:
        out.max_age = str(int(policy.max_age))
    if policy.allow_credentials is not None:
        out.allow_credentials.value = policy.allow_credentials
    out.filter_enabled.default_value.numerator = 100
    out.forward_not_matching_preflights.value = policy.unmatched_preflights is not UnmatchedPreflights.IGNORE
    return out


def _origin(origin: StringMatch) -> Any:
    if origin.exact is not None:
        return StringMatcher(exact=origin.exact)
    if origin.prefix is not None:
        return StringMatcher(prefix=origin.prefix)
    return StringMatcher(safe_regex=RegexMatcher(regex=origin.regex))
