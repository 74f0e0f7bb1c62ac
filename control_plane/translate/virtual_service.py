"""VirtualService → routes, for one client, on one port, through one gateway (or the mesh)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import Route

from control_plane.translate.actions import Target, apply_action, default_action
from control_plane.translate.bound import BoundService, gateway_name
from control_plane.translate.cors import CORS_FILTER, cors_policy
from control_plane.translate.fault import add_fault
from control_plane.translate.hash_policy import consistent_hash
from control_plane.translate.hosts import qualified
from control_plane.translate.inbound_routes import FAULT_HEADER, fault_id
from control_plane.translate.index import Index
from control_plane.translate.match import catch_all, is_catch_all, route_match
from control_plane.translate.messages import config_path, istio_metadata
from control_plane.translate.viewer import Audience, Viewer
from mesh.istio.load_balancing import ConsistentHashLB
from mesh.istio.virtual_service import MESH_GATEWAY, Destination, HTTPMatchRequest, HTTPRetry, HTTPRoute
from mesh.naming import ClusterName, outbound_cluster
from mesh.xds import any_of

DEFAULT_ROUTE: Final = "default"
ORIGIN: Final = "mesh.origin"  # the metadata that says which of the resource's rules a route is


def routes(index: Index, viewer: Viewer, bound: BoundService, port: int, gateway: str = MESH_GATEWAY) -> list[Any]:
    """The routes, first match first. Empty when no rule is for this client, port and gateway."""
    namespace = viewer.namespace if bound.asks_namespace or index.hashes else ""
    key = ("routes", bound, namespace, viewer.labels, viewer.audience is Audience.GRPC, port, gateway)
    return index.once(key, lambda: list(_routes(index, viewer, bound, port, gateway)))


def default_route(
    host: str,
    port: int,
    grpc: bool = False,
    hashing: ConsistentHashLB | None = None,
    retries: HTTPRetry | None = None,
) -> Any:
    """The route to a service that has no rules."""
    cluster = outbound_cluster(host, port)
    route = Route(name=DEFAULT_ROUTE, match=catch_all(), route=default_action(cluster, grpc, hashing, retries))
    route.decorator.operation = f"{host}:{port}/*"
    return route


def _routes(index: Index, viewer: Viewer, bound: BoundService, port: int, gateway: str) -> Iterator[Any]:
    target = Target(
        port,
        lambda d: destination_cluster(index, bound, d, port),
        viewer.audience is Audience.GRPC,
        (lambda cluster: consistent_hash(index, cluster, viewer.namespace)) if index.hashes else _no_hashing,
        index.mesh.http_retries,
        index.mesh.headers.forwarded_host,
    )
    for number, rule in enumerate(bound.spec.http):
        for at, match in enumerate(rule.match or (None,)):
            if match is not None and not _is_for(match, bound, viewer, port, gateway):
                continue
            route = _route(rule, match, bound, target, number)
            if not bound.delegates:
                place = {"http": number, "match": at} if match is not None else {"http": number}
                route.metadata.filter_metadata[ORIGIN].update(place)
            yield route
            if is_catch_all(route.match):
                return


def _no_hashing(_cluster: str) -> None:
    return None


def _is_for(match: HTTPMatchRequest, bound: BoundService, viewer: Viewer, port: int, gateway: str) -> bool:
    """The conditions of a match that are known before any request is. Gateways named in it replace those on the
    source."""
    if match.port is not None and match.port != port:
        return False
    if match.gateways:
        return gateway in {gateway_name(name, bound.namespace) for name in match.gateways}
    if match.source_namespace and match.source_namespace != viewer.namespace:
        return False
    return match.source_labels.items() <= dict(viewer.labels).items()


def _route(rule: HTTPRoute, match: HTTPMatchRequest | None, bound: BoundService, target: Target, number: int) -> Any:
    prefix = match.stat_prefix if match is not None else ""
    route = Route(name=_name(rule, match), match=route_match(match), stat_prefix=prefix)
    route.metadata.CopyFrom(istio_metadata({"config": config_path("virtual-service", bound.namespace, bound.name)}))
    apply_action(route, rule, target)
    if rule.cors_policy is not None and not target.grpc:  # gRPC clients, which are no browsers, know no such filter
        route.typed_per_filter_config[CORS_FILTER].CopyFrom(any_of(cors_policy(rule.cors_policy)))
    if rule.fault is not None and rule.fault.below_router:
        header = route.request_headers_to_add.add(append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
        header.header.key, header.header.value = FAULT_HEADER, fault_id(bound.namespace, bound.name, number)
    elif rule.fault is not None:
        add_fault(route, rule.fault)
    route.decorator.operation = _operation(route, bound.name, target.port)
    return route


def _name(rule: HTTPRoute, match: HTTPMatchRequest | None) -> str:
    return f"{rule.name}.{match.name}" if match is not None and match.name else rule.name


def _operation(route: Any, rule_name: str, port: int) -> str:
    """What spans are named after: the destination where there is one only, and the path."""
    match = route.match
    kind = match.WhichOneof("path_specifier")
    path = {"prefix": f"{match.prefix}*", "path": match.path, "safe_regex": match.safe_regex.regex}[kind]
    cluster = ClusterName.parse(route.route.cluster) if route.HasField("route") else None
    return f"{cluster.host}:{cluster.port}{path}" if cluster is not None else f"{rule_name}:{port}{path}"


def destination_cluster(index: Index, bound: BoundService, destination: Destination, port: int) -> str:
    """The cluster of a destination: on its own port, else on the only one that the service has, else on the one that
    was called. It need not exist: then the proxy answers 503 NC."""
    host = qualified(destination.host, bound.namespace)
    service = index.service(host)
    if destination.port is not None:
        number = destination.port.number
    else:
        number = service.ports[0].number if service is not None and len(service.ports) == 1 else port
    return outbound_cluster(service.host if service is not None else host, number, destination.subset)
