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
)
from envoy.extensions.request_id.uuid.v3.uuid_pb2 import UuidRequestIdConfig

from control_plane.translate.cors import CORS_FILTER
from control_plane.translate.fault import FAULT_FILTER
from control_plane.translate.index import Index
from control_plane.translate.messages import HTTP_CONNECTION_MANAGER, ads, duration, http_filter, network_filter
from control_plane.translate.telemetry import access_logs, stats_filters, tracing
from control_plane.world import MeshConfig, PathNormalization
from mesh.node import Node
from mesh.xds import any_of

SERVER_NAME: Final = "istio-envoy"
WEBSOCKET: Final = "websocket"
CONNECT: Final = "CONNECT"

# Whether a request is traced is not told by its id, which may be one of other proxies'.
ANY_REQUEST_ID: Final = any_of(UuidRequestIdConfig(use_request_id_for_trace_sampling={"value": False}))
ROUTER_FILTER: Final = http_filter("envoy.filters.http.router", Router())
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
    manager.generate_request_id.value = True
    manager.http_protocol_options.accept_http_10 = True
    manager.upgrade_configs.add(upgrade_type=WEBSOCKET)
    manager.http_filters.extend(stats_filters(mesh))
    if (traces := tracing(index, mesh, node)) is not None:
        manager.tracing.CopyFrom(traces)
        if not mesh.traced_by_request_id:
            manager.request_id_extension.typed_config.CopyFrom(ANY_REQUEST_ID)
    return manager


def by_rds(manager: Any, name: str, filters: Iterable[Any] = ()) -> Any:
    """The network filter of a manager whose routes are the RDS resource `name`, with filters before all others."""
    manager.rds.route_config_name = name
    manager.rds.config_source.CopyFrom(ads())
    manager.http_filters.extend(filters)
    manager.http_filters.extend(ROUTE_FILTERS)
    return network_filter(HTTP_CONNECTION_MANAGER, manager)


def by_config(manager: Any, config: Any, filters: Iterable[Any] = ()) -> Any:
    """The network filter of a manager with routes of its own, and filters before the router."""
    manager.route_config.CopyFrom(config)
    manager.http_filters.extend(filters)
    manager.http_filters.append(ROUTER_FILTER)
    return network_filter(HTTP_CONNECTION_MANAGER, manager)
