from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.log_filter_model import (
    AllOf,
    AnyOf,
    Compares,
    HasFlag,
    HasGrpcStatus,
    HasHeader,
    HasLogType,
    HasMetadata,
    LogFilter,
    Measured,
    NoHealthCheck,
    Sampled,
    Traced,
)
from sidecar.config.model import HeaderMatcher
from tests.unit.sidecar.config.build import FILE_LOG, Data, Parts, hcm_of, parts, problems

KEY = {"runtime_key": "k"}
COMPARISON = {"comparison": {"op": "GE", "value": {"default_value": 500, **KEY}}}


def log(**fields: Any) -> Parts:
    given = parts()
    given.hcm["access_log"] = [{"name": "l", "typed_config": {"@type": FILE_LOG, "path": "/l"}, **fields}]
    return given


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"status_code_filter": COMPARISON}, Compares(Measured.STATUS, "GE", 500)),
        ({"duration_filter": COMPARISON}, Compares(Measured.DURATION, "GE", 500)),
        ({"not_health_check_filter": {}}, NoHealthCheck()),
        ({"traceable_filter": {}}, Traced()),
        ({"runtime_filter": KEY}, Sampled(0, 100)),
        (
            {"runtime_filter": {**KEY, "percent_sampled": {"numerator": 7, "denominator": "TEN_THOUSAND"}}},
            Sampled(7, 10_000),
        ),
        ({"runtime_filter": {**KEY, "use_independent_randomness": True}}, Sampled(0, 100, independent=True)),
        ({"header_filter": {"header": {"name": "X-A", "present_match": True}}}, HasHeader(HeaderMatcher(b"x-a"))),
        ({"response_flag_filter": {"flags": ["UH", "NR"]}}, HasFlag(("UH", "NR"))),
        ({"grpc_status_filter": {"statuses": ["OK"], "exclude": True}}, HasGrpcStatus(frozenset((0,)), exclude=True)),
        ({"metadata_filter": {"match_if_key_not_found": False}}, HasMetadata(False)),
        ({"metadata_filter": {}}, HasMetadata(True)),
        ({"log_type_filter": {"types": ["DownstreamEnd"]}}, HasLogType(frozenset(("DownstreamEnd",)))),
        (
            {"and_filter": {"filters": [{"traceable_filter": {}}, {"not_health_check_filter": {}}]}},
            AllOf((Traced(), NoHealthCheck())),
        ),
        (
            {"or_filter": {"filters": [{"traceable_filter": {}}, {"not_health_check_filter": {}}]}},
            AnyOf((Traced(), NoHealthCheck())),
        ),
    ],
)
def test_filters(config: Data, expected: LogFilter) -> None:
    assert hcm_of(log(filter=config)).access_logs[0].filter == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"filter": {"extension_filter": {"name": "a"}}},
            "typed_config: a without typed_config is not an implemented access log filter",
        ),
        ({"filter": {"and_filter": {"filters": [{"traceable_filter": {}}]}}}, "filters: "),
        ({"filter": {"response_flag_filter": {"flags": ["XX"]}}}, "flags: "),
        ({"filter": {}}, "filter_specifier: "),
    ],
)
def test_refused(fields: Data, expected: str) -> None:
    found = problems(log(**fields))
    assert any(problem.startswith(expected) for problem in found), found


def test_a_command_that_a_formatter_brings_needs_it() -> None:
    given = log()
    typed = given.hcm["access_log"][0]["typed_config"]
    typed["log_format"] = {"text_format": "%REQ_WITHOUT_QUERY(:path)%"}
    assert problems(given) and "needs the formatter" in problems(given)[0]
    kind = "type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"
    typed["log_format"]["formatters"] = [{"name": "f", "typed_config": {"@type": kind}}]
    assert problems(given) == []


def test_moments_are_noted_where_a_format_asks_for_them() -> None:
    given = log()
    assert not hcm_of(given).access_logs[0].metered
    given.hcm["access_log"][0]["typed_config"]["log_format"] = {"json_format": {"a": ["%REQUEST_DURATION%"]}}
    assert hcm_of(given).access_logs[0].metered


def test_logs_of_requests_in_progress() -> None:
    given = log()
    given.hcm["access_log_options"] = {
        "access_log_flush_interval": "2s",
        "flush_access_log_on_new_request": True,
        "flush_log_on_tunnel_successfully_established": True,
    }
    compiled = hcm_of(given)
    assert (compiled.log_interval, compiled.log_starts, compiled.log_tunnels) == (2.0, True, True)
    given = log()
    given.hcm.update(access_log_flush_interval="3s", flush_access_log_on_new_request=True)
    given.chain["name"] = "chain"
    compiled = hcm_of(given)
    assert (compiled.log_interval, compiled.log_starts, compiled.filter_chain) == (3.0, True, "chain")
