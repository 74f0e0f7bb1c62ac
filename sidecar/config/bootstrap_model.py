"""What a process starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sidecar.config.basic_model import Address
from sidecar.config.cluster_model import Cluster
from sidecar.config.dns_model import DEFAULT_RESOLVER, DnsResolver
from sidecar.config.listener_model import Listener
from sidecar.config.overload_model import Overload


@dataclass(frozen=True, slots=True)
class AdsConfig:
    """Where ADS is: `delta` False is state-of-the-world; the cluster's first endpoint is dialled."""

    cluster: str
    address: Address
    delta: bool = True
    backoff_base: float = 0.5
    backoff_max: float = 2.0
    ping_interval: float = 10.0  # HTTP/2 keep-alive; 0.0: none
    ping_timeout: float = 5.0
    lds_timeout: float = 15.0  # initial_fetch_timeout of lds_config and cds_config; 0.0: wait for ever
    cds_timeout: float = 15.0


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """A checked Envoy bootstrap. `node` is the plain-data xDS node; `dynamic` says which of LDS and CDS come over ADS."""

    node: Mapping[str, Any]
    admin: Address | None = None
    listeners: tuple[Listener, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    ads: AdsConfig | None = None
    lds_from_ads: bool = False
    cds_from_ads: bool = False
    overload: Overload | None = None
    local_cluster: str = ""  # cluster_manager.local_cluster_name
    dns: DnsResolver = DEFAULT_RESOLVER
    source: bytes = b""
