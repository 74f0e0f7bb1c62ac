"""Listener → Listener."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Final

from envoy.config.listener.v3 import listener_pb2  # noqa: F401  (names the message for Any)
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from sidecar.config.common import address, cidr, plaintext, typed
from sidecar.config.dns import dns_cache
from sidecar.config.hcm import hcm
from sidecar.config.istio_stats import STATS_CONFIG, session_changes
from sidecar.config.listener_model import SYSTEM_BACKLOG
from sidecar.config.model import (
    Direction,
    FilterChain,
    FilterChainMatch,
    Hcm,
    Listener,
    TcpProxy,
)
from sidecar.config.reader import Reader
from sidecar.config.tcp_proxy import tcp_proxy

_NETWORK_FILTERS: Final[dict[str, Callable[[Reader], Hcm | TcpProxy]]] = {
    http_connection_manager_pb2.HttpConnectionManager.DESCRIPTOR.full_name: hcm,
    tcp_proxy_pb2.TcpProxy.DESCRIPTOR.full_name: tcp_proxy,
}
_SNI_LOOK_UP: Final = sni_dynamic_forward_proxy_pb2.FilterConfig.DESCRIPTOR.full_name
_BEFORE_TCP: Final = {_SNI_LOOK_UP: None}
_ORIGINAL_DST: Final = original_dst_pb2.OriginalDst.DESCRIPTOR.full_name
_HTTP_INSPECTOR: Final = http_inspector_pb2.HttpInspector.DESCRIPTOR.full_name
_TLS_INSPECTOR: Final = tls_inspector_pb2.TlsInspector.DESCRIPTOR.full_name
_LISTENER_FILTERS: Final = {_ORIGINAL_DST: None, _HTTP_INSPECTOR: None, _TLS_INSPECTOR: None}
_TRANSPORTS: Final = ("", "raw_buffer", "tls")

HTTPS_PORT: Final = 443
LISTENER_FILTERS_TIMEOUT: Final = 15.0
BUFFER_LIMIT: Final = 1024 * 1024


def compile_listener(message: Any) -> Listener:
    """An envoy.config.listener.v3.Listener; ConfigError with everything that is wrong in it."""
    reader = Reader(message)
    compiled = listener(reader)
    reader.finish()
    return compiled


def listener(reader: Reader) -> Listener:
    chains = reader.children("filter_chains")
    default = reader.child("default_filter_chain")
    if not reader.has("address"):
        reader.problem("is required", "address")
    if not chains and default is None:
        reader.problem("needs a filter chain", "filter_chains")
    filters = _listener_filters(reader)
    name = reader.text("name")
    where = address(reader.child("address"))
    compiled = Listener(
        name=name or str(where),
        address=where,
        chains=tuple(_chain(each, _match(each.child("filter_chain_match"))) for each in chains),
        default_chain=_default_chain(default),
        bind_to_port=reader.flag("bind_to_port", True),
        use_original_dst=reader.flag("use_original_dst"),
        detect_original_dst=_ORIGINAL_DST in filters,
        detect_http=_HTTP_INSPECTOR in filters,
        detect_tls=_TLS_INSPECTOR in filters,
        buffer_limit=reader.number("per_connection_buffer_limit_bytes", BUFFER_LIMIT),
        detect_timeout=reader.seconds("listener_filters_timeout", LISTENER_FILTERS_TIMEOUT),
        detect_continue=reader.flag("continue_on_listener_filters_timeout"),
        backlog=reader.number("tcp_backlog_size", SYSTEM_BACKLOG),
        direction=Direction[reader.enum("traffic_direction")],
        stat_prefix=reader.text("stat_prefix"),
        ignores_connection_limit=reader.flag("ignore_global_conn_limit"),
        bypasses_overload=reader.flag("bypass_overload_manager"),
        drains_on_failure=reader.enum("drain_type") == "DEFAULT",
        source=reader.message.SerializeToString(deterministic=True),
    )
    _check_matches(compiled, chains)
    return compiled


def _check_matches(compiled: Listener, readers: list[Reader]) -> None:
    """Chains must not overlap: which of the two would take a connection is nowhere defined."""
    seen: dict[tuple[object, ...], str] = {}
    for index, (chain, reader) in enumerate(zip(compiled.chains, readers, strict=True)):
        where = chain.name or f"filter_chains[{index}]"
        match = chain.match
        for each in product(
            (match.destination_port,),
            match.destination_ranges or ("",),
            match.server_names or ("",),
            (match.transport,),
            match.application_protocols or ("",),
            match.direct_source_ranges or ("",),
            (match.source_type,),
            match.source_ranges or ("",),
            match.source_ports or (0,),
        ):
            if (other := seen.setdefault(each, where)) is not where:
                reader.problem(f"matches connections that {other} matches already", "filter_chain_match")
                break


def _listener_filters(reader: Reader) -> frozenset[str]:
    found = set()
    for each in reader.children("listener_filters"):
        kind, config = typed(each, _LISTENER_FILTERS, "listener filter")
        if kind:
            found.add(kind)
        if kind == _TLS_INSPECTOR and config is not None:
            config.only("enable_ja3_fingerprinting", False)
            config.only("enable_ja4_fingerprinting", False)
    return frozenset(found)


def _default_chain(reader: Reader | None) -> FilterChain | None:
    if reader is None:
        return None
    if (unused := reader.child("filter_chain_match")) is not None:
        unused.skip()  # as Envoy does: the default chain takes what no other one matches
    return _chain(reader, FilterChainMatch())


def _chain(reader: Reader, match: FilterChainMatch) -> FilterChain:
    plaintext(reader)
    name = reader.text("name")
    network = replace(_network(reader), filter_chain=name)
    return FilterChain(name, match, network)


def _network(reader: Reader) -> Hcm | TcpProxy:
    """The chain's one filter: a connection manager or a TCP proxy. Before the latter the name in a TLS hello may be looked
    up, and Istio's statistics filter may stand: bytes do not pass through either."""
    return _behind(reader, reader.children("filters"))


def _behind(reader: Reader, filters: Sequence[Reader]) -> Hcm | TcpProxy:
    if len(filters) < 2:
        return _last(reader, filters)
    first = filters[0]
    network = _behind(reader, filters[1:])
    stats = first.typed_struct(STATS_CONFIG)
    if stats is not None:
        first.text("name")
        changes, every = session_changes(first, stats)
    else:
        port = _sni_port(first)
    if not isinstance(network, TcpProxy):
        first.problem("belongs before a TCP proxy")
    elif stats is not None:
        return replace(network, metrics=changes, report_interval=every)
    else:
        return replace(network, sni_port=port)
    return network


def _last(reader: Reader, filters: Sequence[Reader]) -> Hcm | TcpProxy:
    if len(filters) != 1:
        reader.problem(f"needs exactly one network filter, has {len(filters)}", "filters")
    result: Hcm | TcpProxy | None = None
    for each in filters:
        kind, config = typed(each, _NETWORK_FILTERS, "network filter")
        if config is not None:
            result = _NETWORK_FILTERS[kind](config)
    return result or TcpProxy("", ())


def _sni_port(reader: Reader) -> int:
    """Where the host listens that is looked up, 0 for a filter that is none of this kind."""
    _, config = typed(reader, _BEFORE_TCP, "filter before another network filter")
    if config is None:
        return 0
    if (cache := config.child("dns_cache_config")) is None:
        config.problem("is required", "dns_cache_config")
    else:
        dns_cache(cache)
    config.only("save_upstream_address", False)
    return config.number("port_value", HTTPS_PORT)


def _match(reader: Reader | None) -> FilterChainMatch:
    if reader is None:
        return FilterChainMatch()
    transport = reader.text("transport_protocol")
    if transport not in _TRANSPORTS:
        reader.problem(f"{transport!r} is not one of raw_buffer, tls", "transport_protocol")
    for field in ("address_suffix", "suffix_len"):
        reader.refuse(field)
    source_type = reader.enum("source_type")
    names = reader.values("server_names")
    for index, name in enumerate(names):
        if "*" in name and not (name.startswith("*.") and "*" not in name[2:]):
            reader.problem(f"{name!r}: a wildcard must be the whole first label", f"server_names[{index}]")
    return FilterChainMatch(
        destination_port=reader.number("destination_port"),
        destination_ranges=tuple(cidr(each) for each in reader.children("prefix_ranges")),
        source_ranges=tuple(cidr(each) for each in reader.children("source_prefix_ranges")),
        server_names=tuple(name.lower() for name in names),
        application_protocols=reader.values("application_protocols"),
        transport=transport,
        direct_source_ranges=tuple(cidr(each) for each in reader.children("direct_source_prefix_ranges")),
        source_type="" if source_type == "ANY" else source_type,
        source_ports=tuple(int(port) for port in reader.values("source_ports")),
    )
