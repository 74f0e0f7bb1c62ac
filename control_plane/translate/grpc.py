"""Proxyless gRPC: clients that are no proxy and ask for `xds:///host:port`.

They ask by name, from the listener (named as the target) over its routes and their clusters to the endpoints. What they
know is less than what Envoy knows: no balancing policy but round robin, no DNS with several names, no redirects; they
reject a resource that says otherwise, so there is none of that in theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from envoy.config.listener.v3.api_listener_pb2 import ApiListener
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate.clusters import outbound_clusters
from control_plane.translate.connection_manager import FAULT_FILTERS
from control_plane.translate.hosts import short_names
from control_plane.translate.index import Index
from control_plane.translate.messages import ads, authority
from control_plane.translate.routes import service_routes
from control_plane.translate.viewer import Viewer
from control_plane.translate.virtual_hosts import ANY, configuration, virtual_host
from control_plane.world import Service
from mesh.naming import outbound_cluster
from mesh.node import ServicePort
from mesh.xds import any_of


def grpc_listeners(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    """For every name that a target may have: the service's own before the short ones, of which the first wins."""
    return index.once(("grpc listeners", viewer), lambda: _listeners(index, viewer))


def grpc_routes(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    """One route configuration for each port of each service, named as the cluster of the whole service."""
    return index.once(("grpc routes", viewer), lambda: _routes(index, viewer))


def _listeners(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    listeners: dict[str, Any] = {}
    reachable = list(_reachable(index, viewer))
    managers = {outbound_cluster(s.host, p.number): _manager(outbound_cluster(s.host, p.number)) for s, p in reachable}
    for names_of in (lambda service: (service.host,), lambda service: short_names(service.host, viewer.namespace)):
        for service, port in reachable:
            manager = managers[outbound_cluster(service.host, port.number)]
            for name in names_of(service):
                target = authority(name, port.number)
                listeners.setdefault(target, Listener(name=target, api_listener=manager))
    return listeners


def _routes(index: Index, viewer: Viewer) -> Mapping[str, Any]:
    configs = {}
    for service, port in _reachable(index, viewer):
        name = outbound_cluster(service.host, port.number)
        routes = service_routes(index, viewer, service, port.number)
        host = virtual_host(authority(service.host, port.number), [ANY], routes)
        configs[name] = configuration(name, [host], ignore_port=False)
    return configs


def _reachable(index: Index, viewer: Viewer) -> Iterator[tuple[Service, ServicePort]]:
    clusters = outbound_clusters(index, viewer)
    for service in index.services:
        for port in service.ports:
            if outbound_cluster(service.host, port.number) in clusters:
                yield service, port


def _manager(routes: str) -> Any:
    manager = HttpConnectionManager(http_filters=FAULT_FILTERS)
    manager.rds.route_config_name = routes
    manager.rds.config_source.CopyFrom(ads(initial_fetch_timeout=None))
    return ApiListener(api_listener=any_of(manager))
