"""Listeners and their filter chains."""

from __future__ import annotations

import pytest

from sidecar.config.model import (
    Address,
    Direction,
    FilterChainMatch,
    Hcm,
    HttpFilter,
)
from sidecar.filters.router import RouterConfig
from tests.unit.sidecar.config.build import (
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


ROUTER_FILTER = HttpFilter("envoy.filters.http.router", RouterConfig())


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
        tcp_backlog_size=9,
        listener_filters=[
            {"name": kind, "typed_config": {"@type": T + f"envoy.extensions.filters.listener.{kind}"}} for kind in kinds
        ],
        default_filter_chain=copied(given.chain, name="rest"),
    )
    listener = listener_of(given)
    assert (listener.bind_to_port, listener.use_original_dst, listener.direction) == (False, True, Direction.OUTBOUND)
    assert (listener.detect_original_dst, listener.detect_http, listener.detect_tls) == (True, True, True)
    assert (listener.detect_timeout, listener.detect_continue, listener.buffer_limit) == (0.0, True, 5)
    assert listener.backlog == 9
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


def test_sources_of_a_chain() -> None:
    given = parts()
    match: Data = {
        "direct_source_prefix_ranges": [{"address_prefix": "10.0.0.1", "prefix_len": 8}],
        "source_type": "EXTERNAL",
        "source_ports": [1, 2],
    }
    given.chain["filter_chain_match"] = match
    found = listener_of(given).chains[0].match
    assert (found.direct_source_ranges, found.source_type, found.source_ports) == (("10.0.0.0/8",), "EXTERNAL", (1, 2))
    match["source_type"] = "ANY"
    assert listener_of(given).chains[0].match.source_type == ""
    match["address_suffix"] = "0.0.0.1"
    assert "address_suffix: is not implemented" in problems(given)
