"""Inbound: the clusters and listeners that take requests to the workload's own app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from envoy.config.core.v3.base_pb2 import INBOUND
from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import RouteAction, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst

from control_plane.translate import retry
from control_plane.translate.actions import NO_TIMEOUT
from control_plane.translate.cluster_policy import apply_policy, reuse, set_http_options, spoken
from control_plane.translate.clusters import static_cluster
from control_plane.translate.connection_manager import (
    GRPC_WEB_FILTER,
    SERVER_NAME,
    by_config,
    connection_manager,
    set_server,
)
from control_plane.translate.inbound_routes import Asked, asked_of, inbound_routes
from control_plane.translate.index import Index
from control_plane.translate.listeners import HTTP_DETECTED, WILDCARD, detect_http
from control_plane.translate.messages import address, duration, istio_metadata, tcp_proxy
from control_plane.translate.policy import DEFAULT, Policy
from control_plane.translate.ports import is_grpc_web, is_unknown, may_be_http
from control_plane.translate.scope import sidecar_of
from control_plane.translate.telemetry import access_logs
from control_plane.translate.viewer import Audience
from mesh.istio.sidecar import CaptureMode, IstioIngressListener
from mesh.naming import (
    BLACKHOLE_CLUSTER,
    INBOUND_LISTENER,
    INBOUND_PASSTHROUGH_CLUSTER,
    inbound_cluster,
    service_host,
)
from mesh.node import INTERCEPT_NONE, Node, ServicePort
from mesh.xds import any_of

DEFAULT_ROUTE: Final = "default"


@dataclass(frozen=True, slots=True)
class Served:
    """A port that the app serves, as a port of one service; the service that is known first counts. `ingress` is what the
    workload's Sidecar says of it."""

    host: str
    port: ServicePort
    namespace: str
    ingress: IstioIngressListener | None = None

    @property
    def number(self) -> int:
        """Where the app listens."""
        return self.port.app_port

    @property
    def cluster(self) -> str:
        return inbound_cluster(self.number)


def inbound_clusters(index: Index, node: Node) -> Mapping[str, Any]:
    """One for each port that the app serves."""
    return {served.cluster: _cluster(index, node, served) for served in _served(index, node)}


def inbound_listeners(index: Index, node: Node) -> Mapping[str, Any]:
    """Without interception a listener for each of the workload's service ports, on a port of the proxy's; with it the
    one that iptables sends everything to; besides those that the workload's Sidecar opens where it says."""
    own = [_opened(index, node, served) for served in _served(index, node) if _place(node, served) is not None]
    if node.interception != INTERCEPT_NONE:
        return {each.name: each for each in (_virtual(index, node), *own)}
    listeners = (_direct(index, node, position) for position in range(len(node.ports)))
    return {listener.name: listener for listener in (*listeners, *own)}


# ── what the app serves ───────────────────────────────────────────────────────────────────────────────────────────────


def own_host(node: Node) -> str:
    return service_host(node.service, node.namespace) if node.service else f"{node.name}.{node.namespace}"


def _served(index: Index, node: Node) -> list[Served]:
    """The ports that the workload tells of, then those that declared services give it, each where the app listens.
    Without interception the latter are of no use: clients are only sent to ports that the proxy opens."""
    own = own_host(node)
    found = {port.app_port: Served(own, port, node.namespace) for port in reversed(node.ports)}
    if node.interception != INTERCEPT_NONE:
        for host, instance in index.served_by(node.id):
            service = index.served_service(host)
            for port in service.ports if service is not None else ():
                target = instance.ports.get(port.number, 0)
                if target and service is not None:
                    there = ServicePort(port.number, port.name, port.protocol, target)
                    found.setdefault(target, Served(host, there, service.namespace))
    for number in _ingress(index, node).keys() - found.keys():
        found[number] = Served(own, ServicePort(number), node.namespace)
    return [_with_ingress(index, node, found[number]) for number in sorted(found)]


def _ingress(index: Index, node: Node) -> Mapping[int, IstioIngressListener]:
    """By the port that the app is asked on."""
    sidecar = sidecar_of(index.sidecars, node, index.mesh.root_namespace)
    return {each.port.number: each for each in sidecar.spec.ingress} if sidecar is not None else {}


def _with_ingress(index: Index, node: Node, served: Served) -> Served:
    ingress = _ingress(index, node).get(served.number)
    if ingress is None:
        return served
    port = replace(served.port, protocol=ingress.port.protocol.spoken, target=served.number)
    return replace(served, port=port, ingress=ingress)


def _place(node: Node, served: Served) -> tuple[str, int] | None:
    """Where a listener of its own is opened for an ingress of the workload's Sidecar; None where its connections come by
    the proxy's other ones. Nobody can listen where the app does."""
    ingress = served.ingress
    if ingress is None:
        return None
    if node.interception != INTERCEPT_NONE:
        opened, host = ingress.capture_mode is CaptureMode.NONE, ingress.bind or WILDCARD
    else:
        new = all(port.app_port != served.number for port in node.ports)
        opened, host = (
            bool(new or ingress.bind or ingress.capture_mode is CaptureMode.NONE),
            ingress.bind or node.address,
        )
    there = (host, served.number)
    return there if opened and there != _app(node, served) else None


def _app(node: Node, served: Served) -> tuple[str, int]:
    """Where the app listens."""
    host, number = (served.ingress.place if served.ingress is not None else None) or ("", served.number)
    return host or node.app_address, number


# ── clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _policy(index: Index, node: Node, served: Served) -> Policy:
    """What the workload's Sidecar says of connections to the app."""
    if served.ingress is not None and served.ingress.connection_pool is not None:
        return Policy(connection_pool=served.ingress.connection_pool)
    sidecar = sidecar_of(index.sidecars, node, index.mesh.root_namespace)
    return Policy(connection_pool=sidecar.spec.inbound_connection_pool) if sidecar is not None else DEFAULT


def _cluster(index: Index, node: Node, served: Served) -> Any:
    cluster = static_cluster(served.cluster, *_app(node, served))
    name = served.host.partition(".")[0]
    services = [{"host": served.host, "name": name, "namespace": served.namespace}]
    cluster.metadata.CopyFrom(istio_metadata({"services": services}))
    # What the mesh says of connections between proxies is not for the app's own.
    mesh = replace(index.mesh, http2_upgrade=False, tcp_keepalive=None)
    policy = _policy(index, node, served)
    apply_policy(cluster, policy, mesh, Audience.EXPLICIT, served.port)
    if may_be_http(served.port):
        pool = policy.connection_pool
        tcp, http = (pool.tcp, pool.http) if pool is not None else (None, None)
        use = reuse(tcp, http, index.mesh.app_idle_timeout or None)
        said = spoken(None, served.port)  # whatever the pool says: the app speaks what its port is declared as
        cluster.ClearField("typed_extension_protocol_options")
        set_http_options(cluster, said, use, http, index.mesh.headers.keep_case)
    return cluster


# ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _direct(index: Index, node: Node, position: int) -> Any:
    """The listener of the workload's service port at a position of its list."""
    number = node.inbound(position)
    name = INBOUND_LISTENER if position == 0 else f"inbound_{node.address}_{number}"
    own = Served(own_host(node), node.ports[position], node.namespace)
    return _listener(index, node, _with_ingress(index, node, own), name, (node.address, number))


def _opened(index: Index, node: Node, served: Served) -> Any:
    """The listener of an ingress that has one of its own."""
    host, number = _place(node, served) or (node.address, served.number)
    return _listener(index, node, served, f"{host}_{number}", (host, number))


def _listener(index: Index, node: Node, served: Served, name: str, place: tuple[str, int]) -> Any:
    listener = Listener(name=name, address=address(*place), traffic_direction=INBOUND)
    if is_unknown(served.port):
        detect_http(listener, index.mesh)
    listener.filter_chains.extend(_chains(index, node, served, by_port=False))
    return listener


def _virtual(index: Index, node: Node) -> Any:
    """Told apart by the port that the client called. The proxy's own ports are nothing that anybody outside may call:
    behind the outbound one is a proxy."""
    listener = Listener(
        name=INBOUND_LISTENER,
        address=address(WILDCARD, node.inbound_port),
        traffic_direction=INBOUND,
        listener_filters=[
            ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=any_of(OriginalDst()))
        ],
    )
    captured = (served for served in _served(index, node) if _place(node, served) is None)
    served_ports = [served for served in captured if served.number not in _closed(node)]
    if any(is_unknown(served.port) for served in served_ports):
        detect_http(listener, index.mesh)
    for port in _closed(node):
        listener.filter_chains.add(
            name=f"{INBOUND_LISTENER}-blackhole-{port}",
            filter_chain_match=_port_match(port),
            filters=[tcp_proxy(BLACKHOLE_CLUSTER)],
        )
    for served in served_ports:
        listener.filter_chains.extend(_chains(index, node, served, by_port=True))
    rest = FilterChain(
        name=f"{INBOUND_LISTENER}-catchall-tcp",
        filters=[tcp_proxy(INBOUND_PASSTHROUGH_CLUSTER, access_logs(index.mesh.inbound))],
    )
    listener.default_filter_chain.CopyFrom(rest)
    return listener


def _closed(node: Node) -> tuple[int, ...]:
    return tuple(sorted({node.inbound_port, node.outbound_port}))


def _chains(index: Index, node: Node, served: Served, by_port: bool) -> Iterator[Any]:
    """The chain of a port, or one for HTTP and one for the rest where that has to be found out."""
    port = served.number if by_port else 0
    if may_be_http(served.port):
        protocols = HTTP_DETECTED if is_unknown(served.port) else ()
        yield FilterChain(
            name=f"{served.cluster}http" if protocols else served.cluster,
            filter_chain_match=_port_match(port, protocols),
            filters=[_http(index, node, served)],
        )
        if not protocols:
            return
    yield FilterChain(
        name=served.cluster,
        filter_chain_match=_port_match(port),
        filters=[tcp_proxy(served.cluster, access_logs(index.mesh.inbound))],
    )


def _port_match(port: int, protocols: tuple[str, ...] = ()) -> Any:
    match = FilterChainMatch(application_protocols=protocols)
    if port:
        match.destination_port.value = port
    return match


def _http(index: Index, node: Node, served: Served) -> Any:
    manager = connection_manager(index, index.mesh.inbound, node, f"inbound_{node.address}_{served.number}")
    set_server(manager, index.mesh.headers, SERVER_NAME)
    asked = asked_of(index, served.host)
    first = (GRPC_WEB_FILTER,) if is_grpc_web(served.port) else ()
    return by_config(manager, _route_config(served, asked), (*first, *asked.filters), headers=index.mesh.headers)


def _route_config(served: Served, asked: Asked) -> Any:
    """Everything goes to the app, without a time-out: that is the client's business."""
    action = RouteAction(
        cluster=served.cluster,
        timeout=duration(NO_TIMEOUT),
        max_grpc_timeout=duration(NO_TIMEOUT),
        retry_policy=retry.INBOUND,
    )
    routes = list(inbound_routes(asked, action))
    for route in routes:
        route.decorator.operation = f"{served.host}:{served.port.number}/*"
    host = VirtualHost(name=f"inbound|http|{served.port.number}", domains=["*"], routes=routes)
    config = RouteConfiguration(name=served.cluster, virtual_hosts=[host])
    config.validate_clusters.value = False
    return config
