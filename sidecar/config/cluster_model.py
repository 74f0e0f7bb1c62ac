"""Clusters: discovery, endpoints, balancing, limits, and the checks of their health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from sidecar.config.balancing_model import DEFAULT_BALANCING, Balancing
from sidecar.config.basic_model import UNLIMITED, Address
from sidecar.config.dns_model import DEFAULT_DNS, DnsCache, DnsDiscovery
from sidecar.config.http2_model import Http2
from sidecar.config.route_model import NO_OPS, HeaderOps


class Discovery(Enum):
    STATIC = "STATIC"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    EDS = "EDS"
    ORIGINAL_DST = "ORIGINAL_DST"
    DYNAMIC = "DYNAMIC"  # a dynamic forward proxy: by the name that a request asks for

    @property
    def while_serving(self) -> bool:
        """Whether hosts are found by requests, one by one."""
        return self in (Discovery.ORIGINAL_DST, Discovery.DYNAMIC)


class Health(Enum):
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


# How large an answer's head may be where nothing says so, as in Envoy.
RESPONSE_HEAD: Final = 80 * 1024
HTTP2_RESPONSE_HEAD: Final = 60 * 1024


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Endpoint:
    address: Address
    hostname: str = ""
    weight: int = 1
    health: Health = Health.HEALTHY
    metadata: Mapping[str, Any] = field(default_factory=dict)
    check_port: int = 0  # health_check_config: where it is checked, 0 where it serves; and under which name
    check_hostname: str = ""
    check_disabled: bool = False


@dataclass(frozen=True, slots=True)
class LocalityEndpoints:
    endpoints: tuple[Endpoint, ...]
    region: str = ""
    zone: str = ""
    sub_zone: str = ""
    weight: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """A ClusterLoadAssignment."""

    cluster: str
    localities: tuple[LocalityEndpoints, ...] = ()
    overprovisioning: int = 140
    weighted_health: bool = False  # a level's health is that of its weight, not of its number of hosts
    source: bytes = b""


@dataclass(frozen=True, slots=True)
class Limits:
    """Circuit-breaker thresholds of one priority; Envoy's defaults."""

    max_connections: int = 1024
    max_pending: int = 1024
    max_requests: int = 1024
    max_retries: int = 3
    budget_percent: float | None = None  # retry_budget: of active + pending requests
    budget_min: int = 3
    max_connections_per_host: int = UNLIMITED
    track_remaining: bool = False  # gauges of what is left


@dataclass(frozen=True, slots=True)
class OriginalDst:
    """Of clusters of that type: the `header` that may say where to, b"" for none; `port` in the place of the original one
    where it is not 0; and how often hosts that nobody uses are looked for."""

    header: bytes = b""
    port: int = 0
    cleanup_interval: float = 5.0


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """Envoy's defaults; None enforcement means 100 %. `error_statuses` are those of responses that count as errors, None:
    from 500 on."""

    consecutive_5xx: int = 5
    consecutive_gateway_failure: int = 5
    interval: float = 10.0
    base_ejection_time: float = 30.0
    max_ejection_time: float = 300.0
    max_ejection_percent: int = 10
    enforcing_consecutive_5xx: int = 100
    enforcing_consecutive_gateway_failure: int = 0
    always_eject_one_host: bool = False
    split_local_origin: bool = False
    consecutive_local_origin_failure: int = 5
    enforcing_consecutive_local_origin_failure: int = 100
    max_ejection_time_jitter: float = 0.0
    enforcing_success_rate: int = 100
    success_rate_minimum_hosts: int = 5
    success_rate_request_volume: int = 100
    success_rate_stdev_factor: int = 1900
    enforcing_local_origin_success_rate: int = 100
    failure_percentage_threshold: int = 85
    enforcing_failure_percentage: int = 0
    enforcing_failure_percentage_local_origin: int = 0
    failure_percentage_minimum_hosts: int = 5
    failure_percentage_request_volume: int = 50
    successful_active_health_check_uneject_host: bool = True
    error_statuses: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """The three-state breaker of a cluster (`filter_metadata["mesh.circuit_breaker"]`). Rates are percent of the requests
    of a window, once there are `minimum_requests` in it; 0 switches a trigger off. `half_open_requests` bounds the
    probes in flight, and so many have to pass."""

    consecutive_failures: int = 0
    failure_rate: float = 0.0
    slow_call_rate: float = 0.0
    slow_call_duration: float = 0.0
    minimum_requests: int = 20
    window: float = 10.0
    open_time: float = 5.0
    half_open_requests: int = 1


class Resend(Enum):
    """Which requests are sent again when their host had closed the connection before it saw them."""

    NEVER = "never"
    IDEMPOTENT = "idempotent"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class TcpKeepalive:
    """Of connections to hosts; 0 is what the system has."""

    probes: int = 0
    time: int = 0
    interval: int = 0


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """A health check's request and what is expected of the response: statuses as ranges without their ends, and pieces
    of the body in their order, looked for in its first `body_limit` bytes (0: all of it)."""

    path: str
    host: str = ""
    method: str = "GET"
    headers: HeaderOps = NO_OPS
    expected: tuple[tuple[int, int], ...] = ((200, 201),)
    retriable: tuple[tuple[int, int], ...] = ()
    send: bytes = b""
    receive: tuple[bytes, ...] = ()
    body_limit: int = 1024
    http2: bool = False


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Without `receive` it is enough that a connection can be made."""

    send: bytes = b""
    receive: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class GrpcProbe:
    """A health check by grpc.health.v1; without a service's name it is about the whole server."""

    service: str = ""
    authority: str = ""
    metadata: HeaderOps = NO_OPS


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """An active health check; intervals that are not set have those that Envoy takes for them."""

    timeout: float
    interval: float
    unhealthy_threshold: int
    healthy_threshold: int
    probe: HttpProbe | TcpProbe | GrpcProbe
    no_traffic_interval: float
    no_traffic_healthy_interval: float
    unhealthy_interval: float
    unhealthy_edge_interval: float
    healthy_edge_interval: float
    initial_jitter: float = 0.0
    interval_jitter: float = 0.0
    interval_jitter_percent: int = 0
    reuse_connection: bool = True


@dataclass(frozen=True, slots=True)
class Cluster:
    """`eds_name` is the EDS resource to ask for; `assignment` is inline for STATIC and DNS clusters."""

    name: str
    discovery: Discovery
    balancing: Balancing = DEFAULT_BALANCING
    assignment: Assignment | None = None
    eds_name: str = ""
    connect_timeout: float = 5.0
    limits: Limits = Limits()
    high_limits: Limits = Limits()
    original: OriginalDst = OriginalDst()
    outlier: OutlierDetection | None = None
    health_check: HealthCheck | None = None
    circuit_breaker: CircuitBreaker | None = None
    remove_while_healthy: bool = False  # ignore_health_on_host_removal: discovery alone decides who leaves
    max_requests_per_connection: int = 0
    max_stream_duration: float = 0.0  # of one attempt
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0  # 0.0: connections may get as old as they like
    max_response_head: int = 0  # 0: RESPONSE_HEAD, over HTTP/2 HTTP2_RESPONSE_HEAD
    max_response_headers: int = 100
    tcp_keepalive: TcpKeepalive | None = None
    preconnect_ratio: float = 1.0  # connections to a host for each of its requests
    close_on_change: bool = False  # close_connections_on_host_set_change
    close_on_failure: bool = False  # close_connections_on_host_health_failure, of TCP
    wait_for_first_check: bool = False  # ignore_new_hosts_until_first_hc
    resend: Resend = Resend.NEVER
    dns: DnsDiscovery = DEFAULT_DNS
    dns_cache: DnsCache | None = None  # of a dynamic forward proxy
    http2: Http2 | None = None  # how HTTP/2 is spoken to the hosts; None: HTTP/1.1 is
    protocol_of_downstream: bool = False  # use_downstream_protocol_config: HTTP/2 for requests that came in it only
    buffer_limit: int = 1024 * 1024
    header_spelling: str = ""  # codec.key_case: of requests to the hosts, or of their responses on their way on
    enable_trailers: bool = False  # HTTP/1.1 trailers of responses are passed on, not dropped
    bind_address: str = ""  # upstream_bind_config: the source address of connections to the upstream
    eds_timeout: float = 15.0  # initial_fetch_timeout: warm without endpoints after that; 0.0: wait for ever
    alt_stat_name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: bytes = b""
