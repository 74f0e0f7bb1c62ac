"""LDS of sidecars, outbound: the explicit proxy, the captured ports, and the door that captured connections come by."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.core.v3.base_pb2 import OUTBOUND
from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector

from control_plane.translate.connection_manager import CONNECT, by_rds, connection_manager
from control_plane.translate.dynamic import dynamic_filters, sni_filters
from control_plane.translate.index import Index
from control_plane.translate.messages import address, duration, is_loopback, tcp_proxy
from control_plane.translate.ports import is_http, is_tls, is_unknown, virtual_addresses, virtual_networks
from control_plane.translate.routes import http_ports
from control_plane.translate.tcp_filter import tcp_filter
from control_plane.translate.tcp_routes import Chain, service_chains
from control_plane.translate.telemetry import access_logs
from control_plane.translate.viewer import Viewer
from control_plane.world import MeshConfig, OutboundPolicy
from mesh.naming import (
    ADMIN_PORT,
    BLACKHOLE_CLUSTER,
    HEALTH_PORT,
    HTTP_PROXY_ROUTES,
    MERGED_PORT,
    OUTBOUND_LISTENER,
    PASSTHROUGH_CLUSTER,
    PROMETHEUS_PORT,
)
from mesh.node import INTERCEPT_NONE, Node
from mesh.xds import any_of

WILDCARD: Final = "0.0.0.0"
LOOPBACK: Final = "127.0.0.1"
HTTP_DETECTED: Final = ("http/1.0", "http/1.1", "h2c")


def outbound_listeners(index: Index, viewer: Viewer, node: Node, taken: Collection[int] = ()) -> Mapping[str, Any]:
    """By name. A sidecar that is asked as a proxy has one listener; a transparent one also has those that captured
    connections are handed to by their original destination, which open no port. The `taken` ports are other listeners'."""
    if node.interception == INTERCEPT_NONE:
        return {OUTBOUND_LISTENER: _explicit(index, node)}
    listeners = {OUTBOUND_LISTENER: _virtual(index, node)}
    http = [port for port in captured_http_ports(index, node) if port not in taken]

    def serves(port: int) -> bool:
        return port not in taken

    for listener in (
        *wildcard_listeners(index, viewer, node, http, serves),
        *address_listeners(index, viewer, node, serves),
    ):
        listeners.setdefault(listener.name, listener)
    return listeners


def captured_http_ports(index: Index, node: Node) -> tuple[int, ...]:
    """The ports whose captured connections are HTTP: none without interception, and never one of the proxy's own."""
    if node.interception == INTERCEPT_NONE:
        return ()
    own = own_ports(node)
    return tuple(port for port in http_ports(index) if port not in own)


def own_ports(node: Node) -> frozenset[int]:
    """A listener for one of them would have the address of one that is there already."""
    return frozenset((node.outbound_port, node.inbound_port, ADMIN_PORT, MERGED_PORT, HEALTH_PORT, PROMETHEUS_PORT))


# ── 15001 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _explicit(index: Index, node: Node) -> Any:
    """On the workload's own address when only this machine can reach that, else on loopback: it must be no open proxy."""
    host = node.address if is_loopback(node.address) else LOOPBACK
    return listener_at(
        OUTBOUND_LISTENER,
        host,
        node.outbound_port,
        filter_chains=[FilterChain(name=HTTP_PROXY_ROUTES, filters=[_explicit_filter(index, node)])],
    )


def _virtual(index: Index, node: Node) -> Any:
    """Where iptables sends everything. A connection that was made to this very port is no captured one: it is somebody
    who uses the proxy as one. Whatever no listener is for goes to where it was going."""
    explicit = FilterChain(
        name=HTTP_PROXY_ROUTES,
        filter_chain_match=FilterChainMatch(destination_port={"value": node.outbound_port}),
        filters=[_explicit_filter(index, node)],
    )
    listener = listener_at(OUTBOUND_LISTENER, WILDCARD, node.outbound_port, filter_chains=[explicit])
    listener.default_filter_chain.CopyFrom(_unknown(index))
    listener.use_original_dst.value = True
    return listener


def _explicit_filter(index: Index, node: Node) -> Any:
    manager = connection_manager(index, index.mesh, node, f"outbound_{HTTP_PROXY_ROUTES}")
    manager.upgrade_configs.add(upgrade_type=CONNECT)
    return by_rds(manager, HTTP_PROXY_ROUTES, dynamic_filters(index), headers=index.mesh.headers)


def _unknown(index: Index) -> Any:
    passes = index.mesh.outbound_policy is OutboundPolicy.ALLOW_ANY
    cluster = (index.mesh.egress_proxy or PASSTHROUGH_CLUSTER) if passes else BLACKHOLE_CLUSTER
    return FilterChain(name=f"{OUTBOUND_LISTENER}-catchall-tcp", filters=[tcp_proxy(cluster, access_logs(index.mesh))])


# ── captured ports ────────────────────────────────────────────────────────────────────────────────────────────────────


def wildcard_listeners(
    index: Index, viewer: Viewer, node: Node, http: Collection[int], serves: Callable[[int], bool]
) -> Iterator[Any]:
    """`0.0.0.0_PORT`, for every port on which hosts are told apart by their name, by blocks of addresses, or not at all."""
    chains = _wildcard_chains(index, viewer)
    detected = {p.number for service in index.services for p in service.ports if is_unknown(p)}
    for port in sorted(filter(serves, {*http, *chains} - own_ports(node))):
        listener = _captured(f"{WILDCARD}_{port}", WILDCARD, port)
        own = [chain for chain in chains.get(port, ()) if chain.names or chain.networks]
        rest = next((chain for chain in chains.get(port, ()) if chain not in own), None)
        add_chains(listener, index, viewer.namespace, own)
        detect = port in detected or rest is not None or any(chain.names for chain in own)
        if port in http:
            _add_http(index, node, listener, port, detect)
        if port not in http or detect:
            default = _unknown(index) if rest is None else _chain(index, viewer.namespace, rest)
            listener.default_filter_chain.CopyFrom(default)
        yield listener


def _add_http(index: Index, node: Node, listener: Any, port: int, detect: bool) -> None:
    manager = connection_manager(index, index.mesh, node, f"outbound_{WILDCARD}_{port}")
    chain = listener.filter_chains.add(
        name=f"{WILDCARD}_{port}",
        filters=[by_rds(manager, str(port), dynamic_filters(index), headers=index.mesh.headers)],
    )
    if detect:
        chain.filter_chain_match.application_protocols.extend(HTTP_DETECTED)
        detect_http(listener, index.mesh)


def _wildcard_chains(index: Index, viewer: Viewer) -> dict[int, list[Chain]]:
    """Port → the chains of the services that have blocks of addresses there, or (ServiceEntries) none at all: a TLS hello
    has the host's name in it, and of others the first service gets what nobody else does."""
    found: dict[int, list[Chain]] = {}
    for service in index.services:
        networks = virtual_networks(service)
        nowhere = not service.addresses and service.name == service.host
        for port in service.ports:
            if is_http(port) or not (networks or nowhere):
                continue
            for chain in service_chains(index, viewer, service, port):
                names = chain.names or ((service.host.lower(),) if nowhere and is_tls(port) else ())
                found.setdefault(port.number, []).append(
                    replace(chain, names=names, networks=chain.networks or networks)
                )
    return found


def address_listeners(index: Index, viewer: Viewer, node: Node, serves: Callable[[int], bool]) -> Iterator[Any]:
    """`ADDRESS_PORT`, for the virtual addresses of services whose bytes tell nothing of the host. A service of the registry
    without an address of its own is reached as it would be without the mesh."""
    own = own_ports(node)
    for service in index.services:
        for port in service.ports:
            if is_http(port) or port.number in own or not serves(port.number):
                continue
            for vip in virtual_addresses(service):
                listener = _captured(f"{vip}_{port.number}", vip, port.number)
                add_chains(listener, index, viewer.namespace, service_chains(index, viewer, service, port))
                yield listener


# ── pieces ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_chains(listener: Any, index: Index, namespace: str, chains: Iterable[Chain]) -> None:
    """The chains of connections, each for what none before it takes; where names tell them apart, TLS hellos are looked
    into."""
    taken: set[tuple[str, str]] = set()
    by_name = False
    for chain in chains:
        networks = [str(ipaddress.ip_network(each, strict=False)) for each in chain.networks]
        free = [n for n in chain.names or ("",) if not taken.issuperset((n, each) for each in networks or ("",))]
        if not free:
            continue
        taken.update((name, network) for name in free for network in networks or ("",))
        made = _chain(index, namespace, chain)
        made.filter_chain_match.server_names.extend(name for name in free if name)
        made.filter_chain_match.prefix_ranges.extend(map(_cidr, networks))
        listener.filter_chains.append(made)
        by_name = by_name or bool(chain.names)
    if by_name:
        inspector = ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=any_of(TlsInspector()))
        listener.listener_filters.append(inspector)
        _wait_briefly(listener, index.mesh)


def _chain(index: Index, namespace: str, chain: Chain) -> Any:
    first = chain.targets[0][0]
    filters = [*sni_filters(index, first), tcp_filter(index, namespace, chain.targets)]
    return FilterChain(name=first, filters=filters)


def _wait_briefly(listener: Any, mesh: MeshConfig) -> None:
    listener.listener_filters_timeout.CopyFrom(duration(mesh.detection_timeout))
    listener.continue_on_listener_filters_timeout = True


def detect_http(listener: Any, mesh: MeshConfig) -> None:
    """Connections are looked at before a chain is chosen; those that stay silent count as no HTTP."""
    inspector = ListenerFilter(name="envoy.filters.listener.http_inspector", typed_config=any_of(HttpInspector()))
    listener.listener_filters.append(inspector)
    _wait_briefly(listener, mesh)


def listener_at(name: str, host: str, port: int, **fields: Any) -> Any:
    return Listener(name=name, address=address(host, port), traffic_direction=OUTBOUND, **fields)


def _captured(name: str, host: str, port: int) -> Any:
    listener = listener_at(name, host, port)
    listener.bind_to_port.value = False
    return listener


def _cidr(network: str) -> Any:
    prefix, _, length = network.partition("/")
    return CidrRange(address_prefix=prefix, prefix_len={"value": int(length)})
