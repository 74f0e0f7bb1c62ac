"""The network filter that sends a connection to a cluster, with what DestinationRules say of connections to it."""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.type.v3.hash_policy_pb2 import HashPolicy

from control_plane.translate.cluster_policies import cluster_policy
from control_plane.translate.index import Index
from control_plane.translate.messages import TCP_PROXY, duration, network_filter
from control_plane.translate.policy import Policy
from control_plane.translate.tcp_routes import Targets
from control_plane.translate.telemetry import access_logs


def tcp_filter(index: Index, namespace: str, targets: Targets) -> Any:
    """For connections of clients in a namespace."""
    proxy = TcpProxy(stat_prefix=targets[0][0], access_log=access_logs(index.mesh))
    if len(targets) == 1:
        proxy.cluster = targets[0][0]
    for cluster, weight in targets if len(targets) > 1 else ():
        proxy.weighted_clusters.clusters.add(name=cluster, weight=weight)
    _apply(proxy, cluster_policy(index, targets[0][0], namespace))
    return network_filter(TCP_PROXY, proxy)


def _apply(proxy: Any, policy: Policy) -> None:
    tcp = policy.connection_pool.tcp if policy.connection_pool is not None else None
    if tcp is not None and tcp.idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(duration(tcp.idle_timeout))
    if tcp is not None and tcp.max_connection_duration is not None:
        proxy.max_downstream_connection_duration.CopyFrom(duration(tcp.max_connection_duration))
    hashing = policy.load_balancer.consistent_hash if policy.load_balancer is not None else None
    if hashing is not None and hashing.use_source_ip:
        proxy.hash_policy.append(HashPolicy(source_ip=HashPolicy.SourceIp()))
