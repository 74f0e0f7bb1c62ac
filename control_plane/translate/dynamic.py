"""Services whose hosts are looked up by the name that each request asks for, or each TLS hello: Envoy's dynamic forward
proxy.

https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/http/http_proxy
https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/sni_dynamic_forward_proxy_filter
"""

from __future__ import annotations

from typing import Any, Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import FilterConfig
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig as SniFilterConfig,
)

from control_plane.translate.index import Index
from control_plane.translate.messages import duration, http_filter, network_filter
from control_plane.world import Resolution
from mesh.naming import ClusterName
from mesh.xds import any_of

CACHE: Final = "dynamic_dns"
MAX_HOSTS: Final = 1024  # of all such services together


def make_dynamic(cluster: Any, refresh: float) -> None:
    """Sets how the cluster's hosts are found."""
    config = ClusterConfig(dns_cache_config=_cache(refresh), allow_insecure_cluster_options=True)
    cluster.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
    cluster.cluster_type.typed_config.CopyFrom(any_of(config))


def is_dynamic(cluster: Any) -> bool:
    return bool(cluster.HasField("cluster_type"))


def dynamic_filters(index: Index) -> tuple[Any, ...]:
    """The filter that looks hosts up, where any service wants that."""
    if not index.fact("dynamic", lambda index: any(s.resolution is Resolution.DYNAMIC for s in index.services)):
        return ()
    config = FilterConfig(dns_cache_config=_cache(index.mesh.dns_refresh_rate))
    return (http_filter("envoy.filters.http.dynamic_forward_proxy", config),)


def sni_filters(index: Index, cluster: str) -> tuple[Any, ...]:
    """The filter that looks up what a TLS hello names, where connections go to a cluster that finds its hosts so."""
    name = ClusterName.parse(cluster)
    service = index.service(name.host.lower()) if name is not None else None
    if name is None or service is None or service.resolution is not Resolution.DYNAMIC:
        return ()
    port = next((port.app_port for port in service.ports if port.number == name.port), name.port)
    config = SniFilterConfig(dns_cache_config=_cache(index.mesh.dns_refresh_rate), port_value=port)
    return (network_filter("envoy.filters.network.sni_dynamic_forward_proxy", config),)


def _cache(refresh: float) -> Any:
    """One for all of them. Envoy keeps a cache under its name as long as it runs and refuses any other settings of it:
    what can change is in the name, so that with other settings it is another cache."""
    rate = duration(refresh)
    name = f"{CACHE}_{rate.ToJsonString()}"
    cache = DnsCacheConfig(name=name, dns_lookup_family=Cluster.V4_PREFERRED, dns_refresh_rate=rate)
    cache.max_hosts.value = MAX_HOSTS
    return cache
