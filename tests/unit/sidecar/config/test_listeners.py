"""Listeners, connection managers and what hangs on them."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.model import (
    AccessLog,
    Address,
    Direction,
    FaultConfig,
    FilterChainMatch,
    Hcm,
    HeaderMatcher,
    HttpFilter,
    TcpProxy,
    Tracing,
    WeightedCluster,
)
from tests.unit.sidecar.config.build import (
    FAULT,
    FILE_LOG,
    OTEL,
    ROUTER,
    TCP,
    Data,
    T,
    address,
    copied,
    hcm_of,
    listener_of,
    parts,
    problems,
)

PROXY_PROTOCOL = "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"
ROUTER_FILTER = HttpFilter("envoy.filters.http.router", None)


def changed(**hcm: Any) -> Hcm:
    given = parts()
    given.hcm.update(hcm)
    return hcm_of(given)


def test_defaults_are_envoys() -> None:
    listener = listener_of(parts())
    assert (listener.name, listener.address, listener.bind_to_port) == ("in", Address("127.0.0.1", 0), True)
    assert listener.chains[0].match == FilterChainMatch()
    assert not (
        listener.use_original_dst or listener.detect_original_dst or listener.detect_http or listener.detect_tls
    )
    assert (listener.detect_timeout, listener.detect_continue) == (15.0, False)
    hcm = hcm_of(parts())
    assert hcm == Hcm("in", (ROUTER_FILTER,), hcm.routes)


def test_a_listener_without_a_name_is_called_by_its_address() -> None:
    given = parts()
    del given.listener["name"]
    given.listener["address"] = address(80, "::1")
    assert listener_of(given).name == "[::1]:80"


def test_everything_of_a_listener() -> None:
    given = parts()
    kinds = ("original_dst.v3.OriginalDst", "http_inspector.v3.HttpInspector", "tls_inspector.v3.TlsInspector")
    given.listener.update(
        bind_to_port=False,
        use_original_dst=True,
        traffic_direction="OUTBOUND",
        stat_prefix="s",
        listener_filters_timeout="0s",
        continue_on_listener_filters_timeout=True,
        per_connection_buffer_limit_bytes=5,
        listener_filters=[
            {"name": kind, "typed_config": {"@type": T + f"envoy.extensions.filters.listener.{kind}"}} for kind in kinds
        ],
        default_filter_chain=copied(given.chain, name="rest"),
    )
    listener = listener_of(given)
    assert (listener.bind_to_port, listener.use_original_dst, listener.direction) == (False, True, Direction.OUTBOUND)
    assert (listener.detect_original_dst, listener.detect_http, listener.detect_tls) == (True, True, True)
    assert (listener.detect_timeout, listener.detect_continue, listener.buffer_limit) == (0.0, True, 5)
    assert listener.default_chain is not None
    assert (listener.default_chain.name, listener.stat_prefix) == ("rest", "s")


def test_the_source_is_kept_and_does_not_change_by_itself() -> None:
    assert listener_of(parts()) == listener_of(parts())
    assert listener_of(parts()).source


def test_filter_chain_matches() -> None:
    given = parts()
    given.chain["filter_chain_match"] = {
        "destination_port": 80,
        "prefix_ranges": [
            {"address_prefix": "10.1.2.3", "prefix_len": 8},
            {"address_prefix": "::1", "prefix_len": 128},
        ],
        "source_prefix_ranges": [{"address_prefix": "10.1.2.3"}],
        "server_names": ["A.b", "*.C"],
        "application_protocols": ["h2"],
        "transport_protocol": "tls",
    }
    assert listener_of(given).chains[0].match == FilterChainMatch(
        80, ("10.0.0.0/8", "::1/128"), ("0.0.0.0/0",), ("a.b", "*.c"), ("h2",), "tls"
    )


def test_tcp_proxy() -> None:
    given = parts()
    given.chain["filters"] = [
        {
            "name": "tcp",
            "typed_config": {
                "@type": TCP,
                "stat_prefix": "t",
                "idle_timeout": "0s",
                "weighted_clusters": {"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]},
            },
        }
    ]
    network = listener_of(given).chains[0].network
    assert network == TcpProxy("t", (WeightedCluster("a", 3), WeightedCluster("b", 1)), 0.0)
    given.chain["filters"][0]["typed_config"] = {"@type": TCP, "stat_prefix": "t", "cluster": "a"}
    assert listener_of(given).chains[0].network == TcpProxy("t", (WeightedCluster("a", 1),))


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
        ("drain_timeout", "1s", 1.0),
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


def test_filters_in_order() -> None:
    given = parts()
    given.hcm["http_filters"][:0] = [
        {
            "name": "f",
            "disabled": True,
            "typed_config": {
                "@type": FAULT,
                "delay": {"fixed_delay": "2s", "percentage": {"numerator": 10}},
                "abort": {"grpc_status": 14, "percentage": {"numerator": 1, "denominator": "MILLION"}},
                "max_active_faults": 3,
                "headers": [{"name": "X-A"}],
            },
        },
        {"name": "u", "is_optional": True, "typed_config": {"@type": T + "mesh.Unknown"}},
    ]
    fault = FaultConfig(2.0, 100_000, 0, 14, 1, 3, (HeaderMatcher(b"x-a"),))
    assert hcm_of(given).filters == (HttpFilter("f", fault, disabled=True), ROUTER_FILTER)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"@type": FILE_LOG, "path": "/tmp/l"}, AccessLog("/tmp/l")),
        ({"@type": FILE_LOG, "path": "/dev/stdout"}, AccessLog("stdout")),
        ({"@type": FILE_LOG, "path": "/l", "log_format": {"text_format": "a\n"}}, AccessLog("/l", text="a\n")),
        (
            {"@type": FILE_LOG, "path": "/l", "log_format": {"text_format_source": {"inline_string": "%PROTOCOL%"}}},
            AccessLog("/l", text="%PROTOCOL%"),
        ),
        (
            {
                "@type": FILE_LOG,
                "path": "/l",
                "log_format": {"json_format": {"a": "%PROTOCOL%", "b": [1, {"c": None}]}},
            },
            AccessLog("/l", json={"a": "%PROTOCOL%", "b": [1, {"c": None}]}),
        ),
        ({"@type": FILE_LOG, "path": "/l", "format": "a"}, AccessLog("/l", text="a")),
        ({"@type": FILE_LOG, "path": "/l", "json_format": {"a": "b"}}, AccessLog("/l", json={"a": "b"})),
        ({"@type": T + "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"}, AccessLog("stdout")),
        (
            {
                "@type": T + "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
                "log_format": {"text_format": "a"},
            },
            AccessLog("stderr", text="a"),
        ),
    ],
)
def test_access_logs(config: Data, expected: AccessLog) -> None:
    assert changed(access_log=[{"name": "l", "typed_config": config}]).access_logs == (expected,)


def test_tracing() -> None:
    http = {"http_uri": {"uri": "http://c/v1/traces", "cluster": "c", "timeout": "1s"}}
    hcm = changed(
        tracing={
            "client_sampling": {"value": 0},
            "random_sampling": {"value": 1.5},
            "overall_sampling": {"value": 50},
            "custom_tags": [
                {"tag": "a", "literal": {"value": "b"}},
                {"tag": "c", "environment": {"name": "HOME"}},
                {"tag": "d", "request_header": {"name": "x-d"}},
            ],
            "provider": {"name": "p", "typed_config": {"@type": OTEL, "service_name": "s", "http_service": http}},
        }
    )
    assert hcm.tracing == Tracing(
        0,
        15_000,
        500_000,
        "s",
        "c",
        "http://c/v1/traces",
        (("a", "literal", "b"), ("c", "environment", "HOME"), ("d", "request_header", "x-d")),
    )
    assert changed(tracing={}).tracing == Tracing()


@pytest.mark.parametrize(
    ("hcm", "expected"),
    [
        ({"codec_type": "HTTP2"}, "codec_type: HTTP2 is not implemented, only AUTO or HTTP1 is"),
        ({"local_reply_config": {"mappers": []}}, "local_reply_config: is not implemented"),
        ({"scoped_routes": {}}, "route_specifier: needs one of"),
        ({"proxy_100_continue": True}, "proxy_100_continue: is not implemented"),
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
            {"http_filters": [{"name": "r", "typed_config": {"@type": ROUTER, "suppress_envoy_headers": True}}]},
            "suppress_envoy_headers: is not implemented",
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
                        "typed_config": {"@type": OTEL, "grpc_service": {"envoy_grpc": {"cluster_name": "a"}}},
                    }
                }
            },
            "grpc_service: OTLP over gRPC is not implemented, use http_service",
        ),
        (
            {
                "access_log": [
                    {
                        "name": "a",
                        "filter": {"not_health_check_filter": {}},
                        "typed_config": {"@type": FILE_LOG, "path": "/l"},
                    }
                ]
            },
            "filter: is not implemented",
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


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ({"internal_listener": {}}, "internal_listener: is not implemented"),
        ({"api_listener": {}}, "api_listener: is not implemented"),
        ({"additional_addresses": [{"address": address(1)}]}, "additional_addresses: is not implemented"),
        ({"address": {"pipe": {"path": "/a"}}}, "pipe: is not implemented"),
        ({"access_log": [{"name": "a"}]}, "access_log: is not implemented"),
        (
            {"address": {"socket_address": {"protocol": "UDP", "address": "127.0.0.1", "port_value": 1}}},
            "protocol: UDP is not implemented, only TCP is",
        ),
        (
            {"listener_filters": [{"name": "p", "typed_config": {"@type": T + PROXY_PROTOCOL}}]},
            f"typed_config: {PROXY_PROTOCOL} is not an implemented",
        ),
    ],
)
def test_refused_in_a_listener(listener: Data, expected: str) -> None:
    given = parts()
    given.listener.update(listener)
    assert any(problem.startswith(expected) for problem in problems(given)), problems(given)


def test_tls_is_refused_by_name() -> None:
    given = parts()
    kind = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
    given.chain["transport_socket"] = {"name": "tls", "typed_config": {"@type": T + kind}}
    assert any(kind in problem for problem in problems(given))
