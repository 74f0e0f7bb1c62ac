"""The CORS filter's policies."""

from __future__ import annotations

from sidecar.config.filter_model import CorsFilterConfig, CorsPolicy
from sidecar.config.model import StringMatch, StringMatcher
from tests.unit.sidecar.config.build import T, hcm_of, parts, problems, route_of

CORS = T + "envoy.extensions.filters.http.cors.v3.Cors"
POLICY = T + "envoy.extensions.filters.http.cors.v3.CorsPolicy"


def test_a_policy_of_a_route() -> None:
    given = parts()
    given.hcm["http_filters"].insert(0, {"name": "c", "typed_config": {"@type": CORS}})
    policy = {
        "@type": POLICY,
        "allow_origin_string_match": [{"suffix": ".com"}],
        "allow_methods": "GET",
        "max_age": "1",
        "allow_credentials": False,
        "filter_enabled": {"default_value": {"numerator": 50}},
    }
    given.route["typed_per_filter_config"] = {"c": policy}
    assert hcm_of(given).filters[0].config == CorsFilterConfig()
    origins = (StringMatcher(StringMatch.SUFFIX, ".com"),)
    assert route_of(given).filters == {
        "c": CorsPolicy(origins, b"GET", max_age=b"1", credentials=False, enabled=500_000)
    }


def test_each_type_has_its_place() -> None:
    given = parts()
    given.hcm["http_filters"].insert(0, {"name": "c", "typed_config": {"@type": POLICY}})
    assert problems(given) == [f"typed_config: {POLICY.removeprefix(T)}: there is no such HTTP filter here"]
    given = parts()
    given.route["typed_per_filter_config"] = {"c": {"@type": CORS}}
    assert [each.partition("]: ")[2] for each in problems(given)] == [
        f"{CORS.removeprefix(T)}: there is no such HTTP filter that routes can configure"
    ]
