"""Which filter chain of a listener a connection belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.oracle.case import Case, Read, Write, request


def inspector(kind: str) -> dict[str, Any]:
    module, name = ("tls_inspector", "TlsInspector") if kind == "tls" else ("http_inspector", "HttpInspector")
    return {
        "name": f"envoy.filters.listener.{module}",
        "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.filters.listener.{module}.v3.{name}"},
    }


HTTP, TLS = {"listener_filters": [inspector("http")]}, {"listener_filters": [inspector("tls")]}
BOTH = {"listener_filters": [inspector("tls"), inspector("http")]}
LOOPBACK, ELSEWHERE = {"address_prefix": "127.0.0.0", "prefix_len": 8}, {"address_prefix": "10.0.0.0", "prefix_len": 8}
ENCRYPTED, PLAIN = {"transport_protocol": "tls"}, {"transport_protocol": "raw_buffer"}
EXACT = {"address_prefix": "127.0.0.1", "prefix_len": 32}


def only(protocol: str) -> dict[str, Any]:
    return {"application_protocols": [protocol]}


def destination(*ranges: Mapping[str, Any]) -> dict[str, Any]:
    return {"prefix_ranges": list(ranges)}


def source(*ranges: Mapping[str, Any]) -> dict[str, Any]:
    return {"source_prefix_ranges": list(ranges)}


def chosen(name: str, expected: str | None, chains: Mapping[str, Mapping[str, Any]], **more: Any) -> Case:
    """`expected` None: no chain takes the connection."""
    if expected is None:
        more |= {"logs": 0, "expect": {"client[0].status": None}}
    else:
        more["expect"] = {"log[0].chain": expected}
    actions = [Write(more.pop("sent", request("/x"))), Read()]
    if expected is None and "listener" not in more:
        del actions[0]  # what the client sends would race with the end
    return Case(name, actions=actions, chains=chains, log={"chain": "%FILTER_CHAIN_NAME%"}, **more)


CASES = (
    chosen("chain_without_match", "all", {"all": {}}),
    chosen("chain_of_no_connection", None, {"away": source(ELSEWHERE)}),
    chosen("chain_by_destination", "near", {"all": {}, "near": destination(LOOPBACK)}),
    chosen(
        "chain_by_longest_destination",
        "exact",
        {"near": destination(LOOPBACK), "exact": destination(EXACT)},
    ),
    chosen("chain_by_source", "near", {"all": {}, "near": source(LOOPBACK)}),
    chosen(
        "chain_by_longest_source",
        "exact",
        {"near": source(LOOPBACK), "exact": source(EXACT)},
    ),
    chosen("chain_by_direct_source", "near", {"all": {}, "near": {"direct_source_prefix_ranges": [LOOPBACK]}}),
    chosen(
        "chain_by_direct_source_before_source",
        "direct",
        {"direct": {"direct_source_prefix_ranges": [LOOPBACK]}, "source": source(EXACT)},
    ),
    chosen("chain_by_source_type", "local", {"all": {}, "local": {"source_type": "SAME_IP_OR_LOOPBACK"}}),
    chosen("chain_of_external_sources", "all", {"all": {}, "far": {"source_type": "EXTERNAL"}}),
    chosen(
        "chain_by_source_type_before_source",
        "local",
        {"local": {"source_type": "SAME_IP_OR_LOOPBACK"}, "source": source(EXACT)},
    ),
    chosen("chain_of_other_source_ports", "all", {"all": {}, "port": {"source_ports": [1, 2]}}),
    chosen("chain_of_other_destination_port", "all", {"all": {}, "port": {"destination_port": 1}}),
    chosen(
        "chain_decided_by_destination_is_not_reconsidered",
        None,
        {
            "near": {**destination(EXACT), **source(ELSEWHERE)},
            "far": source(LOOPBACK),
        },
    ),
    chosen(
        "chain_by_application_protocol",
        "http",
        {"all": {}, "http": only("http/1.1")},
        listener=HTTP,
    ),
    chosen(
        "chain_of_other_application_protocol",
        "all",
        {"all": {}, "http": only("http/1.0")},
        listener=HTTP,
    ),
    chosen(
        "chain_of_old_http",
        "old",
        {"all": {}, "old": only("http/1.0")},
        listener=HTTP,
        sent=b"GET / HTTP/1.0\r\n\r\n",
    ),
    chosen(
        "chain_by_transport",
        "plain",
        {"tls": ENCRYPTED, "plain": PLAIN},
        listener=TLS,
    ),
    chosen("chain_of_tls_only", None, {"tls": ENCRYPTED}, listener=TLS),
    chosen(
        "chain_by_transport_before_protocol",
        "plain",
        {"plain": PLAIN, "http": only("http/1.1")},
        listener=BOTH,
    ),
    chosen(
        "chain_of_server_names", "all", {"all": {}, "named": {"server_names": ["a.test", "*.b.test"]}}, listener=TLS
    ),
)
