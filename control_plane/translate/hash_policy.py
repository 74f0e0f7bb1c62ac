"""`consistentHash` of a DestinationRule → the hash policy of the routes to its host."""

from __future__ import annotations

from typing import Any

from envoy.config.route.v3.route_components_pb2 import RouteAction

from control_plane.translate.cluster_policies import cluster_policy
from control_plane.translate.index import Index
from control_plane.translate.messages import duration
from mesh.istio.load_balancing import ConsistentHashLB


def consistent_hash(index: Index, cluster: str, client_namespace: str) -> ConsistentHashLB | None:
    """How requests of a namespace to a cluster are spread, None when not by a key."""
    policy = cluster_policy(index, cluster, client_namespace)
    return policy.load_balancer.consistent_hash if policy.load_balancer is not None else None


def hash_policy(settings: ConsistentHashLB) -> Any:
    """What of a request is hashed; None when nothing is said."""
    policy = RouteAction.HashPolicy()
    if settings.http_header_name is not None:
        policy.header.header_name = settings.http_header_name
    elif (cookie := settings.http_cookie) is not None:
        policy.cookie.name = cookie.name
        policy.cookie.path = cookie.path
        if cookie.ttl is not None:
            policy.cookie.ttl.CopyFrom(duration(cookie.ttl))
        for attribute in cookie.attributes:
            policy.cookie.attributes.add(name=attribute.name, value=attribute.value)
    elif settings.use_source_ip:
        policy.connection_properties.source_ip = True
    elif settings.http_query_parameter_name is not None:
        policy.query_parameter.name = settings.http_query_parameter_name
    else:
        return None
    return policy
