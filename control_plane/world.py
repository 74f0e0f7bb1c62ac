"""The immutable picture of everything known at one moment, from which every proxy's configuration is made.

Built by `control_plane.store` from the accepted resources and by `control_plane.registry` from services and workloads;
read by `control_plane.translate`, whose functions are pure in `(world, node)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from mesh.node import Locality, ServicePort

if TYPE_CHECKING:
    from mesh.istio.destination_rule import TcpKeepalive
    from mesh.istio.load_balancing import LocalityLoadBalancerSetting
    from mesh.istio.resource import Resource
    from mesh.istio.virtual_service_actions import HTTPRetry


class Resolution(Enum):
    """How a service's endpoints are found, and so which discovery type its clusters get."""

    REGISTRY = "registry"  # endpoints are known here: EDS
    DNS = "dns"  # STRICT_DNS
    DNS_ROUND_ROBIN = "dns_round_robin"  # LOGICAL_DNS
    DYNAMIC = "dynamic"  # the host that a request names: a dynamic forward proxy
    NONE = "none"  # wherever the client was going: ORIGINAL_DST


@dataclass(frozen=True, slots=True)
class Service:
    """`host` is fully qualified; `addresses` are its virtual IPs; `endpoints` are the inline DNS endpoints of a
    ServiceEntry with DNS resolution, as (name, ports by service-port number). `affinity` keeps a client with one endpoint,
    `near` says which are preferred (Kubernetes' `sessionAffinity` and `trafficDistribution`), where no DestinationRule
    says otherwise; `export_to` names the namespaces that are told of it, none means all."""

    host: str
    name: str
    namespace: str
    ports: tuple[ServicePort, ...]
    resolution: Resolution = Resolution.REGISTRY
    addresses: tuple[str, ...] = ()
    external: bool = False
    selector: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[Instance, ...] = ()
    affinity: bool = False
    near: str = ""
    export_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """A workload that serves a service. `ports` maps the service's port numbers to where the endpoint accepts them;
    `healthy` False keeps it known and out of use; `meshed` says that a sidecar of ours or an Envoy answers there."""

    address: str
    ports: Mapping[int, int]
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = "default"
    workload: str = ""
    locality: Locality = Locality()  # noqa: RUF009 - frozen
    weight: int = 1
    healthy: bool = True
    meshed: bool = False
    node_id: str = ""
    cluster_id: str = "Kubernetes"

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.address, tuple(self.ports.items()))


class AccessLogEncoding(Enum):
    TEXT = "TEXT"
    JSON = "JSON"


class PathNormalization(Enum):
    """What becomes of a request's path before it is looked at."""

    NONE = "NONE"
    BASE = "BASE"
    MERGE_SLASHES = "MERGE_SLASHES"
    DECODE_AND_MERGE_SLASHES = "DECODE_AND_MERGE_SLASHES"


class OutboundPolicy(Enum):
    """What becomes of traffic to hosts that no service has."""

    ALLOW_ANY = "ALLOW_ANY"
    REGISTRY_ONLY = "REGISTRY_ONLY"


@dataclass(frozen=True, slots=True)
class MetricChange:
    """How one of Istio's metrics differs from the usual one; `tags` are name → expression, None for one that is removed."""

    name: str  # as in Istio's statistics filter: `requests_total`
    drop: bool = False
    tags: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class FileLog:
    """An access log that a proxy writes to `path`: lines of `text`, or objects with the members of `labels`; of neither the
    text is Istio's own. `filter` is an expression that tells what is logged, empty for everything."""

    path: str
    text: str = ""
    labels: Mapping[str, Any] | None = None
    omit_empty: bool = False
    filter: str = ""


@dataclass(frozen=True, slots=True)
class Collector:
    """A service of the mesh that spans are sent to: over HTTP if it has a `path`, else over gRPC. `tag_length` 0 is the
    proxy's own."""

    host: str
    port: int
    path: str = ""
    timeout: float = 5.0
    tag_length: int = 0
    namespace: str = ""  # where the service has to be, empty for anywhere


@dataclass(frozen=True, slots=True)
class Metered:
    """The provider of the metrics that a proxy always has."""


Provider = FileLog | Collector | Metered


@dataclass(frozen=True, slots=True)
class AddedHeaders:
    """Which headers proxies add. `server` empty is the proxies' usual name, None the app's own; `envoys` are those that its
    router makes (`x-envoy-upstream-service-time` and others); with `in_mesh` services outside are not told who asks."""

    server: str | None = ""
    request_id: bool = True
    attempt_count: bool = True
    envoys: bool = True
    forwarded_host: bool = False
    forwarded_port: bool = False
    keep_case: bool = False
    in_mesh: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """To which namespaces things are exported that do not say so themselves; none means all."""

    services: tuple[str, ...] = ()
    virtual_services: tuple[str, ...] = ()
    destination_rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MeshConfig:
    """Settings of the whole mesh, by Istio's names; the values are those of its demo profile.

    `access_log_file` empty switches access logs off, `access_log_format` empty is Istio's own format; `sampling` is in
    percent; `otlp_endpoint` is the URL that spans are sent to (`http://collector:4318/v1/traces`,
    `grpc://collector:4317`), empty for none.
    `app_idle_timeout` closes a sidecar's idle connections to its app before the app does (servers keep them for 5 s and
    more), so that no request is sent into a connection that is just being closed. `logs` are the access logs where
    providers say so, None for the one of `access_log_file`; `collector` takes the place of `otlp_endpoint`; `providers`
    are the extension providers by their names in lower case, `default_logs` those that log where nobody says otherwise.
    `tags` are those of spans: name → (kind, value or name, default); `metrics` are the metrics that are not as usual;
    TCP sessions are asked every `report_interval` seconds what they have moved (0: as usual);
    `asked` are the settings of what a workload is asked, where a Telemetry resource tells that apart from what it asks.
    `localities` holds where no DestinationRule says which places are preferred; a client that says nothing for
    `detection_timeout` waits for the server to begin: no HTTP; `trusted_proxies` stand before the gateways;
    `path_tag_length` 0 is the proxy's own; `egress_proxy` is the cluster to which a Sidecar sends traffic to hosts that no
    service has."""

    access_log_file: str = "/dev/stdout"
    access_log_encoding: AccessLogEncoding = AccessLogEncoding.TEXT
    access_log_format: str = ""
    enable_tracing: bool = True
    sampling: float = 100.0
    otlp_endpoint: str = ""
    outbound_policy: OutboundPolicy = OutboundPolicy.ALLOW_ANY
    egress_proxy: str = ""
    connect_timeout: float = 10.0
    app_idle_timeout: float = 4.0
    root_namespace: str = "istio-system"
    logs: tuple[FileLog, ...] | None = None
    collector: Collector | None = None
    providers: Mapping[str, Provider] = field(default_factory=dict)
    default_logs: tuple[str, ...] = ()
    tags: tuple[tuple[str, tuple[str, str, str]], ...] = ()
    istio_tags: bool = True
    traced_by_request_id: bool = True
    metrics: tuple[MetricChange, ...] = ()
    report_interval: float = 0.0
    asked: MeshConfig | None = None
    tcp_keepalive: TcpKeepalive | None = None
    http2_upgrade: bool = False
    http_retries: HTTPRetry | None = None
    localities: LocalityLoadBalancerSetting | None = None
    path_normalization: PathNormalization = PathNormalization.BASE
    detection_timeout: float = 0.1
    dns_refresh_rate: float = 60.0
    trusted_proxies: int = 0
    path_tag_length: int = 0
    exported: Exported = Exported()
    headers: AddedHeaders = AddedHeaders()

    @property
    def inbound(self) -> MeshConfig:
        return self.asked or self


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class World:
    """`resources` by kind ("VirtualService" …), each tuple ordered oldest first; `instances` by service host. Two worlds
    are equal when they are the same object: what is made from one is kept as long as it lives."""

    revision: int = 0
    resources: Mapping[str, tuple[Resource, ...]] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    instances: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    mesh: MeshConfig = MeshConfig()
