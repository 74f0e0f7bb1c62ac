"""How a cluster speaks HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.errors import ConfigError
from sidecar.config.http2_model import Http2, Keepalive
from sidecar.config.model import (
    Cluster,
)
from tests.unit.sidecar.config.build import HTTP_OPTIONS, Data, T, cluster_of, parts

COMMON = {
    "idle_timeout": "0s",
    "max_requests_per_connection": 3,
    "max_connection_duration": "7s",
    "max_headers_count": 5,
    "max_response_headers_kb": 2,
}


def changed(**cluster: Any) -> Cluster:
    given = parts()
    given.cluster.update(cluster)
    return cluster_of(given)


def options(**fields: Any) -> Data:
    return {HTTP_OPTIONS: {"@type": T + HTTP_OPTIONS, **fields}}


def test_http_options() -> None:
    cluster = changed(
        typed_extension_protocol_options=options(
            explicit_http_config={"http_protocol_options": {"enable_trailers": True}},
            common_http_protocol_options=COMMON,
        )
    )
    assert (cluster.idle_timeout, cluster.max_requests_per_connection, cluster.enable_trailers) == (0.0, 3, True)
    assert (cluster.max_connection_duration, cluster.max_response_headers, cluster.max_response_head) == (7.0, 5, 2048)


def test_old_options_count_unless_there_are_new_ones() -> None:
    old = {"common_http_protocol_options": COMMON, "http_protocol_options": {"enable_trailers": True}}
    cluster = changed(**old)
    assert (cluster.max_requests_per_connection, cluster.enable_trailers) == (3, True)
    new = options(explicit_http_config={"http_protocol_options": {}})
    cluster = changed(**old, typed_extension_protocol_options=new)
    assert (cluster.max_requests_per_connection, cluster.enable_trailers) == (0, False)


def test_http2_to_the_hosts() -> None:
    keepalive = {"interval": "10s", "timeout": "5s"}
    cluster = changed(
        typed_extension_protocol_options=options(
            explicit_http_config={"http2_protocol_options": {"connection_keepalive": keepalive}}
        )
    )
    assert cluster.http2 == Http2(keepalive=Keepalive(interval=10.0, timeout=5.0))
    assert not cluster.protocol_of_downstream
    assert changed(http2_protocol_options={"max_concurrent_streams": 5}).http2 == Http2(max_concurrent_streams=5)
    assert changed().http2 is None


def test_the_protocol_of_the_downstream() -> None:
    same = changed(
        typed_extension_protocol_options=options(use_downstream_protocol_config={"http2_protocol_options": {}})
    )
    assert (same.http2, same.protocol_of_downstream) == (Http2(), True)
    bare = changed(typed_extension_protocol_options=options(use_downstream_protocol_config={}))
    assert (bare.http2, bare.protocol_of_downstream) == (Http2(), True)


def test_auto_config_needs_alpn() -> None:
    with pytest.raises(ConfigError, match="needs ALPN"):
        changed(typed_extension_protocol_options=options(auto_config={}))


def status_is(**how: Any) -> Data:
    return {"http_response_headers_match": {"headers": [{"name": ":status", **how}]}}


@pytest.mark.parametrize(
    ("predicate", "errors", "others"),
    [
        (status_is(string_match={"exact": "429"}), {429}, {500}),
        (status_is(range_match={"start": 400, "end": 402}), {400, 401}, {402, 500}),
        (status_is(string_match={"exact": "429"}, invert_match=True), {200, 500}, {429}),
        ({"not_match": status_is(string_match={"exact": "404"})}, {200, 500}, {404}),
        ({"any_match": True}, {100, 200, 599}, set()),
        (
            {"or_match": {"rules": [status_is(string_match={"exact": code}) for code in ("404", "503")]}},
            {404, 503},
            {500},
        ),
        (
            {"and_match": {"rules": [{"any_match": True}, status_is(range_match={"start": 500, "end": 600})]}},
            {500, 599},
            {429},
        ),
    ],
)
def test_which_responses_count_as_errors(predicate: Data, errors: set[int], others: set[int]) -> None:
    http = options(explicit_http_config={"http_protocol_options": {}}, outlier_detection={"error_matcher": predicate})
    outlier = changed(outlier_detection={}, typed_extension_protocol_options=http).outlier
    assert outlier is not None and outlier.error_statuses is not None
    assert errors <= outlier.error_statuses and not outlier.error_statuses & others
    plain = changed(outlier_detection={}).outlier
    assert plain is not None and plain.error_statuses is None


@pytest.mark.parametrize(
    "predicate",
    [
        {"http_request_headers_match": {"headers": [{"name": ":path", "present_match": True}]}},
        {"http_response_headers_match": {"headers": [{"name": "x-error", "string_match": {"exact": "1"}}]}},
        status_is(string_match={"prefix": "5"}),
    ],
)
def test_what_else_may_count_is_refused(predicate: Data) -> None:
    http = options(explicit_http_config={"http_protocol_options": {}}, outlier_detection={"error_matcher": predicate})
    with pytest.raises(ConfigError, match="error_matcher"):
        changed(outlier_detection={}, typed_extension_protocol_options=http)
