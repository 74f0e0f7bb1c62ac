"""HTTP connection managers."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.codec import key_case
from sidecar.config.model import (
    Hcm,
)
from tests.unit.sidecar.config.build import (
    FILE_LOG,
    OTEL,
    ROUTER,
    Data,
    T,
    hcm_of,
    parts,
    problems,
)


def changed(**hcm: Any) -> Hcm:
    given = parts()
    given.hcm.update(hcm)
    return hcm_of(given)


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ("use_remote_address", True, True),
        ("xff_num_trusted_hops", 2, 2),
        ("skip_xff_append", True, True),
        ("generate_request_id", False, False),
        ("preserve_external_request_id", True, True),
        ("always_set_request_id_in_response", True, True),
        ("normalize_path", True, True),
        ("merge_slashes", True, True),
        ("strip_any_host_port", True, True),
        ("strip_matching_host_port", True, True),
        ("max_request_headers_kb", 10, 10),
        ("stream_idle_timeout", "0s", 0.0),
        ("request_timeout", "1s", 1.0),
        ("request_headers_timeout", "1s", 1.0),
        ("delayed_close_timeout", "0s", 0.0),
        ("server_name", "me", "me"),
        ("via", "me", "me"),
    ],
)
def test_fields_of_a_manager(field: str, given: Any, expected: Any) -> None:
    assert getattr(changed(**{field: given}), field) == expected


def test_grouped_fields_of_a_manager() -> None:
    hcm = changed(
        server_header_transformation="PASS_THROUGH",
        upgrade_configs=[{"upgrade_type": "WebSocket"}, {"upgrade_type": "CONNECT", "enabled": False}],
        internal_address_config={"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]},
        common_http_protocol_options={
            "idle_timeout": "0s",
            "max_connection_duration": "9s",
            "max_headers_count": 5,
            "max_requests_per_connection": 6,
            "headers_with_underscores_action": "DROP_HEADER",
        },
        http_protocol_options={"accept_http_10": True, "default_host_for_http_10": "h", "enable_trailers": True},
    )
    assert (hcm.server_header, hcm.upgrades, hcm.internal_ranges) == ("PASS_THROUGH", {"websocket"}, ("10.0.0.0/8",))
    assert (hcm.idle_timeout, hcm.max_connection_duration) == (0.0, 9.0)
    assert (hcm.max_headers_count, hcm.max_requests_per_connection, hcm.underscores) == (5, 6, "DROP_HEADER")
    assert (hcm.accept_http_10, hcm.default_host, hcm.enable_trailers) == (True, "h", True)


@pytest.mark.parametrize(
    ("hcm", "expected"),
    [
        ({"codec_type": "HTTP3"}, "codec_type: HTTP3 is not implemented, only AUTO or HTTP1 or HTTP2 is"),
        ({"proxy_status_config": {}}, "proxy_status_config: is not implemented"),
        ({"scoped_routes": {}}, "route_specifier: needs one of"),
        ({"append_local_overload": True}, "append_local_overload: is not implemented"),
        ({"http_protocol_options": {"allow_absolute_url": False}}, "allow_absolute_url: false is not implemented"),
        (
            {
                "http_filters": [
                    {"name": "l", "typed_config": {"@type": T + "envoy.extensions.filters.http.lua.v3.Lua"}}
                ]
            },
            "typed_config: envoy.extensions.filters.http.lua.v3.Lua: there is no such HTTP filter here",
        ),
        ({"http_filters": []}, "http_filters: needs the router filter"),
        (
            {"http_filters": [{"name": "r", "typed_config": {"@type": ROUTER, "respect_expected_rq_timeout": True}}]},
            "respect_expected_rq_timeout: is not implemented",
        ),
        ({"tracing": {"verbose": True}}, "verbose: is not implemented"),
        (
            {
                "tracing": {
                    "provider": {"name": "z", "typed_config": {"@type": T + "envoy.config.trace.v3.ZipkinConfig"}}
                }
            },
            "typed_config: envoy.config.trace.v3.ZipkinConfig is not an implemented tracer",
        ),
        (
            {
                "tracing": {
                    "provider": {
                        "name": "z",
                        "typed_config": {"@type": OTEL, "grpc_service": {"google_grpc": {"target_uri": "a"}}},
                    }
                }
            },
            "google_grpc: is not implemented",
        ),
        (
            {
                "access_log": [
                    {
                        "name": "a",
                        "filter": {"extension_filter": {"name": "cel"}},
                        "typed_config": {"@type": FILE_LOG, "path": "/l"},
                    }
                ]
            },
            "typed_config: cel without typed_config is not an implemented access log filter",
        ),
    ],
)
def test_refused_in_a_manager(hcm: Data, expected: str) -> None:
    given = parts()
    if "scoped_routes" in hcm:
        del given.hcm["route_config"]
        hcm = {}
    given.hcm.update(hcm)
    assert any(problem.startswith(expected) for problem in problems(given)), problems(given)


def test_rules_for_heads() -> None:
    hcm = changed(
        path_with_escaped_slashes_action="REJECT_REQUEST",
        strip_trailing_host_dot=True,
        add_user_agent=True,
        append_x_forwarded_port=True,
        stream_error_on_invalid_http_message=True,
        proxy_100_continue=True,
        http1_safe_max_connection_duration=True,
        scheme_header_transformation={"scheme_to_overwrite": "https"},
        early_header_mutation_extensions=[
            {
                "name": "m",
                "typed_config": {
                    "@type": T + "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                    "mutations": [{"remove": "X-A"}],
                },
            }
        ],
    )
    assert (hcm.escaped_slashes, hcm.scheme, hcm.early_mutations) == ("REJECT_REQUEST", "https", (b"x-a",))
    assert hcm.strip_trailing_host_dot and hcm.add_user_agent and hcm.append_x_forwarded_port
    assert hcm.keeps_after_bad_request and hcm.proxies_continue and hcm.ends_with_response
    assert changed(path_with_escaped_slashes_action="KEEP_UNCHANGED").escaped_slashes == ""


PRESERVE_CASE = T + "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"


@pytest.mark.parametrize(
    ("header_key_format", "expected"),
    [
        ({"proper_case_words": {}}, key_case.PROPER),
        ({"stateful_formatter": {"name": "p", "typed_config": {"@type": PRESERVE_CASE}}}, key_case.PRESERVE),
        (
            {
                "stateful_formatter": {
                    "name": "p",
                    "typed_config": {"@type": PRESERVE_CASE, "formatter_type_on_envoy_headers": "PROPER_CASE"},
                }
            },
            key_case.PRESERVE_OR_PROPER,
        ),
    ],
)
def test_how_header_names_are_spelled(header_key_format: Data, expected: str) -> None:
    assert changed(http_protocol_options={"header_key_format": header_key_format}).header_spelling == expected


@pytest.mark.fault(1)
def test_internal_addresses_without_ranges_are_the_private_ones() -> None:
    assert changed(internal_address_config={}).internal_ranges[0] == "10.0.0.0/8"
    assert changed().internal_ranges == ()


@pytest.mark.parametrize("codec", ["AUTO", "HTTP1", "HTTP2"])
def test_which_codec(codec: str) -> None:
    given = parts()
    given.hcm["codec_type"] = codec
    assert hcm_of(given).codec == codec


def test_a_router_that_adds_no_headers_of_envoys() -> None:
    def of(**config: Any) -> bool:
        return changed(http_filters=[{"name": "r", "typed_config": {"@type": ROUTER, **config}}]).suppress_envoy_headers

    assert of(suppress_envoy_headers=True) and not of()
