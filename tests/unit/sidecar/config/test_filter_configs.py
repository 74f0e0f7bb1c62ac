"""The configurations of the filters that have little to check."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.filter_model import BufferBody, HeaderMutations, HealthCheck, LocalRateLimit
from sidecar.config.model import MILLION, AppendAction, HeaderAdd, HeaderOps, RemoveMatching, StringMatch, StringMatcher
from tests.unit.sidecar.config.build import Data, T, hcm_of, parts, problems, route_of

HTTP = T + "envoy.extensions.filters.http."
LIMIT = HTTP + "local_ratelimit.v3.LocalRateLimit"
MUTATION = HTTP + "header_mutation.v3.HeaderMutation"
HEALTH = HTTP + "health_check.v3.HealthCheck"
BUFFER = HTTP + "buffer.v3.Buffer"
FULL = {"default_value": {"numerator": 100}}
BUCKET = {"max_tokens": 5, "tokens_per_fill": 2, "fill_interval": "4s"}


def chained(kind: str, **config: Any) -> Any:
    given = parts()
    given.hcm["http_filters"].insert(0, {"name": "f", "typed_config": {"@type": kind, **config}})
    return given


def compiled(kind: str, **config: Any) -> Any:
    return hcm_of(chained(kind, **config)).filters[0].config


def routed(kind: str, **config: Any) -> Any:
    given = parts()
    given.route["typed_per_filter_config"] = {"f": {"@type": kind, **config}}
    return route_of(given).filters["f"]


def test_local_rate_limits() -> None:
    assert compiled(LIMIT, stat_prefix="x") == LocalRateLimit("x")
    config: Data = {
        "stat_prefix": "x",
        "token_bucket": BUCKET,
        "filter_enabled": FULL,
        "filter_enforced": FULL,
        "status": {"code": "ServiceUnavailable"},
        "response_headers_to_add": [{"header": {"key": "A", "value": "b"}}],
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
    }
    ops = HeaderOps((HeaderAdd(b"a", "b"),))
    limit = LocalRateLimit("x", 5, 0.5, MILLION, MILLION, 503, response_ops=ops, tells_limits=True)
    assert compiled(LIMIT, **config) == limit
    assert routed(LIMIT, **config) == limit


def test_header_mutations() -> None:
    mutations: Data = {
        "request_mutations": [{"append": {"header": {"key": "A", "value": "b"}}}, {"remove": "C"}],
        "response_mutations": [{"remove_on_match": {"key_matcher": {"prefix": "x-"}}}],
    }
    removing = RemoveMatching(StringMatcher(StringMatch.PREFIX, "x-"))
    found = HeaderMutations((HeaderAdd(b"a", "b", AppendAction.APPEND), b"c"), (removing,))
    assert compiled(MUTATION, mutations=mutations) == found
    assert routed(MUTATION + "PerRoute", mutations=mutations) == found
    assert compiled(MUTATION, most_specific_header_mutations_wins=True) == HeaderMutations(specific_last=True)


def test_health_checks() -> None:
    minimum = {"b": {"value": 12.5}, "a": {"value": 100}}
    config = compiled(HEALTH, pass_through_mode=False, cluster_min_healthy_percentages=minimum)
    assert config == HealthCheck(False, minimum=(("a", 100.0), ("b", 12.5)))
    assert compiled(HEALTH, pass_through_mode=True, cache_time="2s") == HealthCheck(True, 2.0)


def test_buffers() -> None:
    assert compiled(BUFFER, max_request_bytes=3) == BufferBody(3)
    assert routed(BUFFER + "PerRoute", buffer={"max_request_bytes": 4}) == BufferBody(4)
    assert routed(BUFFER + "PerRoute", disabled=True) == BufferBody(None)


@pytest.mark.parametrize(
    ("kind", "config", "problem"),
    [
        (LIMIT, {"stat_prefix": ""}, "stat_prefix: "),
        (LIMIT, {"stat_prefix": "x", "token_bucket": {**BUCKET, "fill_interval": "0.01s"}}, "fill_interval: must be"),
        (LIMIT, {"stat_prefix": "x", "descriptors": [{"entries": [], "token_bucket": BUCKET}]}, "descriptors"),
        (MUTATION, {"mutations": {"query_parameter_mutations": [{}]}}, "query_parameter_mutations: is not"),
        (MUTATION, {"mutations": {"request_mutations": [{"remove": ":path"}]}}, "remove: names with a colon"),
        (MUTATION, {"mutations": {"request_mutations": [{"remove": "Connection"}]}}, "remove: changing connection"),
        (MUTATION, {"mutations": {"response_mutations": [{"remove": "date"}]}}, "remove: changing date"),
        (HEALTH, {}, "pass_through_mode: is required"),
        (HEALTH, {"pass_through_mode": False, "cache_time": "1s"}, "cache_time: can be set with"),
        (
            HEALTH,
            {"pass_through_mode": True, "cluster_min_healthy_percentages": {"a": {"value": 1}}},
            "cluster_min_healthy_percentages: cannot be set",
        ),
        (BUFFER, {}, "max_request_bytes: is required"),
    ],
)
def test_what_is_refused(kind: str, config: Data, problem: str) -> None:
    found = problems(chained(kind, **config))
    assert any(each.startswith(problem) or problem in each for each in found), found
