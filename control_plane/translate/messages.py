"""Small pieces of Envoy's messages that every kind of resource needs."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any, Final

from envoy.config.core.v3.address_pb2 import Address, Pipe, SocketAddress
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.core.v3.config_source_pb2 import V3, AggregatedConfigSource, ConfigSource
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf.duration_pb2 import Duration

from mesh.xds import any_of

ISTIO: Final = "istio"  # the key of Istio's part of a message's metadata
CONFIG_API: Final = "/apis/networking.istio.io/v1/namespaces"
HTTP_CONNECTION_MANAGER: Final = "envoy.filters.network.http_connection_manager"
TCP_PROXY: Final = "envoy.filters.network.tcp_proxy"


def duration(seconds: float) -> Duration:
    """Rounded to milliseconds, which is as fine as the API is."""
    milliseconds = round(seconds * 1000)
    return Duration(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def address(host: str, port: int) -> Any:
    """Of a socket; a path, or "@" and a name, is a Unix domain socket's."""
    if host[:1] in ("/", "@"):
        return Address(pipe=Pipe(path=host))
    return Address(socket_address=SocketAddress(address=host, port_value=port))


def ads(initial_fetch_timeout: float | None = 0.0) -> Any:
    """Resources come over ADS, and whoever needs one waits for it (as in Istio) rather than serving without."""
    source = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=V3)
    if initial_fetch_timeout is not None:
        source.initial_fetch_timeout.CopyFrom(duration(initial_fetch_timeout))
    return source


def istio_metadata(values: Mapping[str, Any]) -> Any:
    """`filter_metadata["istio"]`, where tools and telemetry look."""
    metadata = Metadata()
    metadata.filter_metadata[ISTIO].update(values)
    return metadata


def config_path(kind: str, namespace: str, name: str) -> str:
    """What Istio calls a resource in metadata; `kind` is in its kebab case (`virtual-service`)."""
    return f"{CONFIG_API}/{namespace}/{kind}/{name}"


def http_filter(name: str, config: Any) -> Any:
    return HttpFilter(name=name, typed_config=any_of(config))


def network_filter(name: str, config: Any) -> Any:
    return Filter(name=name, typed_config=any_of(config))


def tcp_proxy(cluster: str, access_logs: Iterable[Any] = (), stat_prefix: str = "") -> Any:
    """The network filter that sends a connection's bytes to a cluster."""
    proxy = TcpProxy(stat_prefix=stat_prefix or cluster, cluster=cluster, access_log=access_logs)
    return network_filter(TCP_PROXY, proxy)


@functools.lru_cache(maxsize=16_384)  # asked for every endpoint of every world
def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(text: str) -> bool:
    return is_ip(text) and ipaddress.ip_address(text).is_loopback


def authority(host: str, port: int = 0) -> str:
    """A host as it stands in an URL, with its port unless that is 0."""
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}" if port else name
