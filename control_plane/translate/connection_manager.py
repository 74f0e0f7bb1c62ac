"""HttpConnectionManager: how a listener speaks HTTP. Settings as Istio's, except HTTP/1.0, which is accepted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig
from xds.type.v3.typed_struct_pb2 import TypedStruct

from control_plane.translate.cluster_policy import keep_case
from control_plane.translate.cors import CORS_FILTER
from control_plane.translate.fault import FAULT_FILTER
from control_plane.translate.index import Index
from control_plane.translate.messages import HTTP_CONNECTION_MANAGER, ads, duration, http_filter, network_filter
from control_plane.translate.telemetry import access_logs, stats_filters, tracing
from control_plane.world import AddedHeaders, MeshConfig, PathNormalization
from mesh.node import Node
from mesh.xds import any_of


def _peers() -> Any:
    config = TypedStruct(type_url="type.googleapis.com/io.istio.http.peer_metadata.Config")
    config.value.update({"upstream_propagation": [{"istio_headers": {"skip_external_clusters": True}}]})
    return config


SERVER_NAME: Final = "istio-envoy"
USUAL_SERVER: Final = ""  # Envoy's own name, of what a sidecar's app asks
WEBSOCKET: Final = "websocket"
CONNECT: Final = "CONNECT"

# Whether a request is traced is not told by its id, which may be one of other proxies'.
ANY_REQUEST_ID: Final = any_of(UuidRequestIdConfig(use_request_id_for_trace_sampling={"value": False}))
ROUTER_FILTER: Final = http_filter("envoy.filters.http.router", Router())
# Istio's filter of peers, which a plain Envoy does not have, and passes over: it tells nobody who asks.
PEERS_IN_MESH: Final = HttpFilter(name="istio.peer_metadata", typed_config=any_of(_peers()), is_optional=True)
QUIET_ROUTER_FILTER: Final = http_filter("envoy.filters.http.router", Router(suppress_envoy_headers=True))
# In every chain whose routes come from VirtualServices, so that they can set them per route; in Istio's order.
FAULT_FILTERS: Final = (http_filter(FAULT_FILTER, HTTPFault()), ROUTER_FILTER)  # for gRPC clients
# In front of them where browsers' gRPC may come.
GRPC_WEB_FILTER: Final = http_filter("envoy.filters.http.grpc_web", GrpcWeb())
ROUTE_FILTERS: Final = (http_filter(CORS_FILTER, Cors()), *FAULT_FILTERS)


def connection_manager(index: Index, mesh: MeshConfig, node: Node, stat_prefix: str) -> Any:
    """What all have in common; routes and filters are still to be set. `mesh` are the settings of the side that it is on."""
    paths = mesh.path_normalization
    manager = HttpConnectionManager(
        codec_type=HttpConnectionManager.AUTO,
        stat_prefix=stat_prefix,
        access_log=access_logs(mesh),
        path_with_escaped_slashes_action=HttpConnectionManager.UNESCAPE_AND_FORWARD
        if paths is PathNormalization.DECODE_AND_MERGE_SLASHES
        else HttpConnectionManager.KEEP_UNCHANGED,
        merge_slashes=paths in (PathNormalization.MERGE_SLASHES, PathNormalization.DECODE_AND_MERGE_SLASHES),
        stream_idle_timeout=duration(0),
    )
    manager.use_remote_address.value = False
    manager.normalize_path.value = paths is not PathNormalization.NONE
    manager.generate_request_id.value = mesh.headers.request_id
    manager.http_protocol_options.accept_http_10 = True
    manager.append_x_forwarded_port = mesh.headers.forwarded_port
    if mesh.headers.keep_case:
        keep_case(manager.http_protocol_options)
    set_server(manager, mesh.headers, USUAL_SERVER)
    manager.upgrade_configs.add(upgrade_type=WEBSOCKET)
    manager.http_filters.extend(stats_filters(mesh))
    if (traces := tracing(index, mesh, node)) is not None:
        manager.tracing.CopyFrom(traces)
        if not mesh.traced_by_request_id:
            manager.request_id_extension.typed_config.CopyFrom(ANY_REQUEST_ID)
    return manager


def set_server(manager: Any, headers: AddedHeaders, usual: str) -> None:
    """What responses have for `server`: what the mesh says, or what is usual there."""
    manager.server_name = headers.server or usual
    if headers.server is None:
        manager.server_name = ""
        manager.server_header_transformation = HttpConnectionManager.PASS_THROUGH


def by_rds(manager: Any, name: str, filters: Iterable[Any] = (), *, headers: AddedHeaders = AddedHeaders()) -> Any:  # noqa: B008 - frozen
    """The network filter of a manager whose routes are the RDS resource `name`, with filters before all others."""
    manager.rds.route_config_name = name
    manager.rds.config_source.CopyFrom(ads())
    manager.http_filters.extend(filters)
    if headers.in_mesh:
        manager.http_filters.append(PEERS_IN_MESH)
    manager.http_filters.extend(ROUTE_FILTERS[:-1])
    manager.http_filters.append(router(headers))
    return network_filter(HTTP_CONNECTION_MANAGER, manager)


def router(headers: AddedHeaders) -> Any:
    return ROUTER_FILTER if headers.envoys else QUIET_ROUTER_FILTER


def by_config(manager: Any, config: Any, filters: Iterable[Any] = (), *, headers: AddedHeaders = AddedHeaders()) -> Any:  # noqa: B008 - frozen
    """The network filter of a manager with routes of its own, and filters before the router."""
    manager.route_config.CopyFrom(config)
    manager.http_filters.extend(filters)
    manager.http_filters.append(router(headers))
    return network_filter(HTTP_CONNECTION_MANAGER, manager)
