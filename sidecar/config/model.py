"""The immutable configuration that the data plane runs on: what remains of Envoy's messages once they are checked.

Received from `sidecar.config.*` compilers (protobuf → these), read by listener, router, filters, balancer and upstream.
Durations are seconds (float), None means not set and 0.0 means disabled where Envoy says so. Header names are lower-case
bytes. Percentages are parts per million. Everything here is frozen: an update builds new objects and swaps a reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

MILLION = 1_000_000
UNLIMITED = 2**32 - 1


class Direction(Enum):
    """`traffic_direction` of a listener; it decides which side of Istio's metrics and peer headers apply."""

    UNSPECIFIED = 0
    INBOUND = 1
    OUTBOUND = 2


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address (or a DNS name, in STRICT_DNS endpoints) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


# ── matching ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class StringMatch(Enum):
    EXACT = "exact"
    PREFIX = "prefix"
    SUFFIX = "suffix"
    CONTAINS = "contains"
    REGEX = "regex"  # RE2, full match


@dataclass(frozen=True, slots=True)
class StringMatcher:
    kind: StringMatch
    value: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class HeaderMatcher:
    """`match` None with `value_range` None means presence (or absence, when `present` is False)."""

    name: bytes
    match: StringMatcher | None = None
    value_range: tuple[int, int] | None = None
    present: bool = True
    invert: bool = False
    treat_missing_as_empty: bool = False


@dataclass(frozen=True, slots=True)
class QueryMatcher:
    """`match` None means presence."""

    name: str
    match: StringMatcher | None = None


class PathMatch(Enum):
    PREFIX = "prefix"
    PATH = "path"
    REGEX = "safe_regex"
    SEPARATED_PREFIX = "path_separated_prefix"
    CONNECT = "connect_matcher"


@dataclass(frozen=True, slots=True)
class RouteMatch:
    kind: PathMatch
    value: str
    case_sensitive: bool = True
    headers: tuple[HeaderMatcher, ...] = ()
    query: tuple[QueryMatcher, ...] = ()
    fraction: int = MILLION  # runtime_fraction's default value


# ── what a route does ─────────────────────────────────────────────────────────────────────────────────────────────────


class AppendAction(Enum):
    """Envoy's HeaderAppendAction."""

    APPEND = "APPEND_IF_EXISTS_OR_ADD"
    ADD_IF_ABSENT = "ADD_IF_ABSENT"
    OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"
    OVERWRITE_IF_EXISTS = "OVERWRITE_IF_EXISTS"


@dataclass(frozen=True, slots=True)
class HeaderAdd:
    """`value` may hold %COMMAND%s (sidecar.telemetry.formatter)."""

    name: bytes
    value: str
    action: AppendAction = AppendAction.APPEND
    keep_empty: bool = False


@dataclass(frozen=True, slots=True)
class HeaderOps:
    add: tuple[HeaderAdd, ...] = ()
    remove: tuple[bytes, ...] = ()


NO_OPS = HeaderOps()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`conditions` are the words of `retry_on` (and of x-envoy-retry-on); `attempts` is num_retries (Envoy's default 1)."""

    conditions: frozenset[str]
    attempts: int = 1
    per_try_timeout: float = 0.0
    status_codes: frozenset[int] = frozenset()
    base_interval: float = 0.025
    max_interval: float = 0.250
    avoid_previous_hosts: bool = False
    host_selection_attempts: int = 1


@dataclass(frozen=True, slots=True)
class WeightedCluster:
    name: str
    weight: int
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    host_rewrite: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """At most one of `prefix` and `regex`; `regex` is (RE2 pattern, substitution with \\1); `host` literal or ''."""

    prefix: str | None = None
    regex: tuple[str, str] | None = None
    host: str = ""
    host_from_upstream: bool = False  # auto_host_rewrite
    append_forwarded_host: bool = False


class HashSource(Enum):
    """What of a request a hash policy looks at."""

    HEADER = "header"
    COOKIE = "cookie"
    SOURCE_IP = "source_ip"
    QUERY_PARAMETER = "query_parameter"


@dataclass(frozen=True, slots=True)
class HashPolicy:
    """A part of what requests are balanced by. `name` is the header's (lower-case), the cookie's, or the parameter's;
    `rewrite` is (RE2 pattern, substitution with \\1) for a header's values. A missing cookie is made up when `ttl` is
    set (whole seconds, 0: for the session), with its `path` and `attributes`."""

    source: HashSource
    name: str = ""
    terminal: bool = False
    rewrite: tuple[str, str] | None = None
    ttl: int | None = None
    path: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """Sends the request to a cluster: the only cluster, or one drawn by weight."""

    clusters: tuple[WeightedCluster, ...]
    timeout: float = 15.0  # 0.0: none
    idle_timeout: float | None = None
    retry: RetryPolicy | None = None
    rewrite: Rewrite | None = None
    cluster_not_found_code: int = 503
    high_priority: bool = False
    upgrades: Mapping[str, bool] = field(default_factory=dict)  # route-level upgrade_configs: type → enabled
    hash_policies: tuple[HashPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    code: int = 301
    scheme: str = ""
    https: bool = False
    host: str = ""
    port: int = 0
    path: str = ""
    prefix: str | None = None
    regex: tuple[str, str] | None = None
    strip_query: bool = False


@dataclass(frozen=True, slots=True)
class DirectResponse:
    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Route:
    """`filters` holds typed_per_filter_config by filter name, compiled (None where the filter is disabled)."""

    match: RouteMatch
    action: Forward | Redirect | DirectResponse
    name: str = ""
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    filters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    decorator: str = ""  # what spans call it
    propagate_decorator: bool = True  # and the other side's spans too
    retry_buffer: int | None = None  # bytes of a request's body kept for a retry; None: the virtual host's


@dataclass(frozen=True, slots=True)
class VirtualHost:
    name: str
    domains: tuple[str, ...]
    routes: tuple[Route, ...]
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    retry: RetryPolicy | None = None
    include_attempt_count: bool = False  # x-envoy-attempt-count upstream
    include_attempt_count_in_response: bool = False
    filters: Mapping[str, Any] = field(default_factory=dict)
    retry_buffer: int | None = None  # None: the listener's buffer limit


@dataclass(frozen=True, slots=True)
class RouteConfig:
    name: str
    virtual_hosts: tuple[VirtualHost, ...]
    request_ops: HeaderOps = NO_OPS
    response_ops: HeaderOps = NO_OPS
    filters: Mapping[str, Any] = field(default_factory=dict)
    ignore_port_in_host: bool = False
    validate_clusters: bool | None = None  # None: Envoy's default, which is yes for inline and no for RDS
    source: bytes = b""


# ── HTTP filters and the connection manager ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FaultConfig:
    """envoy.filters.http.fault: chances in parts per million, delay in seconds, `abort_status` 0 when none."""

    delay: float = 0.0
    delay_chance: int = 0
    abort_status: int = 0
    abort_grpc_status: int | None = None
    abort_chance: int = 0
    max_active: int = UNLIMITED
    headers: tuple[HeaderMatcher, ...] = ()  # all must match for the filter to act
    delay_by_header: bool = False  # x-envoy-fault-… request headers say how long, or what to answer
    abort_by_header: bool = False
    delay_unit: int = MILLION // 100  # what 1 in the request header that lowers a chance means, parts per million
    abort_unit: int = MILLION // 100


@dataclass(frozen=True, slots=True)
class HttpFilter:
    """A filter of the chain, in order; the last one is `envoy.filters.http.router`. `config` is the compiled config."""

    name: str
    config: Any
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class AccessLog:
    """`target` is "stdout", "stderr" or a path; exactly one of `text` and `json` (nested data of format strings) is set;
    both None means Envoy's default format."""

    target: str
    text: str | None = None
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Tracing:
    """Sampling chances in parts per million. `otlp_cluster`/`otlp_url` say where spans go; both empty: the ring only."""

    client_chance: int = MILLION
    random_chance: int = MILLION
    overall_chance: int = MILLION
    service_name: str = ""
    otlp_cluster: str = ""
    otlp_url: str = ""
    custom_tags: tuple[tuple[str, str, str], ...] = ()  # (tag, kind literal|environment|request_header, argument)


@dataclass(frozen=True, slots=True)
class Hcm:
    """An HTTP connection manager. Exactly one of `routes` and `rds` is set."""

    stat_prefix: str
    filters: tuple[HttpFilter, ...]
    routes: RouteConfig | None = None
    rds: str = ""
    access_logs: tuple[AccessLog, ...] = ()
    tracing: Tracing | None = None
    server_name: str = "envoy"
    server_header: str = "OVERWRITE"  # OVERWRITE | APPEND_IF_ABSENT | PASS_THROUGH
    use_remote_address: bool = False
    xff_num_trusted_hops: int = 0
    skip_xff_append: bool = False
    internal_ranges: tuple[str, ...] = ()  # internal_address_config: CIDRs that count as internal; none by default
    via: str = ""  # appended to requests' and responses' via header
    generate_request_id: bool = True
    preserve_external_request_id: bool = False
    always_set_request_id_in_response: bool = False
    normalize_path: bool = False
    merge_slashes: bool = False
    strip_any_host_port: bool = False
    strip_matching_host_port: bool = False
    max_request_headers_kb: int = 60
    max_headers_count: int = 100
    idle_timeout: float = 3600.0
    max_connection_duration: float = 0.0
    max_requests_per_connection: int = 0
    stream_idle_timeout: float = 300.0
    request_timeout: float = 0.0
    request_headers_timeout: float = 0.0
    delayed_close_timeout: float = 1.0
    accept_http_10: bool = False
    default_host: str = ""  # of HTTP/1.0 requests without one; "": refuse them
    underscores: str = "ALLOW"  # headers_with_underscores_action: ALLOW | REJECT_REQUEST | DROP_HEADER
    upgrades: frozenset[str] = frozenset()  # lower-case: "websocket", "connect"
    enable_trailers: bool = False  # HTTP/1.1 trailers of requests are passed on, not dropped
    rds_timeout: float = 15.0  # initial_fetch_timeout: serve without routes after that; 0.0: wait for ever


@dataclass(frozen=True, slots=True)
class TcpProxy:
    stat_prefix: str
    clusters: tuple[WeightedCluster, ...]
    idle_timeout: float = 3600.0
    access_logs: tuple[AccessLog, ...] = ()


# ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FilterChainMatch:
    """Empty collections match anything. Ranges are CIDR strings; `transport` is "", "raw_buffer" or "tls"."""

    destination_port: int = 0
    destination_ranges: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    application_protocols: tuple[str, ...] = ()
    transport: str = ""


@dataclass(frozen=True, slots=True)
class FilterChain:
    name: str
    match: FilterChainMatch
    network: Hcm | TcpProxy


@dataclass(frozen=True, slots=True)
class Listener:
    """`source` keeps the serialized message, for /config_dump."""

    name: str
    address: Address
    chains: tuple[FilterChain, ...]
    default_chain: FilterChain | None = None
    bind_to_port: bool = True
    use_original_dst: bool = False  # hand the connection to the listener of its original destination
    detect_original_dst: bool = False  # the original_dst listener filter: read SO_ORIGINAL_DST
    detect_http: bool = False  # http_inspector
    detect_tls: bool = False  # tls_inspector
    buffer_limit: int = 1024 * 1024  # per_connection_buffer_limit_bytes
    detect_timeout: float = 15.0  # listener_filters_timeout; 0.0: none
    detect_continue: bool = False  # after the timeout go on with what is known, do not close
    direction: Direction = Direction.UNSPECIFIED
    stat_prefix: str = ""
    source: bytes = b""


# ── clusters and endpoints ────────────────────────────────────────────────────────────────────────────────────────────


class Discovery(Enum):
    STATIC = "STATIC"
    STRICT_DNS = "STRICT_DNS"
    LOGICAL_DNS = "LOGICAL_DNS"
    EDS = "EDS"
    ORIGINAL_DST = "ORIGINAL_DST"


class DnsFamily(Enum):
    """Which addresses of a name are used. The preferring ones take the other family when there is none of the first."""

    AUTO = "AUTO"  # IPv6 preferred
    V4_PREFERRED = "V4_PREFERRED"
    V4_ONLY = "V4_ONLY"
    V6_ONLY = "V6_ONLY"
    ALL = "ALL"


class LbPolicy(Enum):
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    RANDOM = "RANDOM"
    RING_HASH = "RING_HASH"
    MAGLEV = "MAGLEV"
    CLUSTER_PROVIDED = "CLUSTER_PROVIDED"


# The policies that send equal keys to one host.
HASHING = frozenset((LbPolicy.RING_HASH, LbPolicy.MAGLEV))


@dataclass(frozen=True, slots=True)
class Hashing:
    """How RING_HASH and MAGLEV lay out their tables; Envoy's defaults."""

    min_ring_size: int = 1024
    max_ring_size: int = 8 * 1024 * 1024
    table_size: int = 65537  # MAGLEV's, a prime
    by_hostname: bool = False  # hosts are placed by their names, not by their addresses


DEFAULT_HASHING = Hashing()


class Health(Enum):
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class OutlierDetection:
    """Envoy's defaults; None enforcement means 100 %."""

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


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Without `receive` it is enough that a connection can be made."""

    send: bytes = b""
    receive: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """An active health check; intervals that are not set have those that Envoy takes for them."""

    timeout: float
    interval: float
    unhealthy_threshold: int
    healthy_threshold: int
    probe: HttpProbe | TcpProbe
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
    lb_policy: LbPolicy = LbPolicy.ROUND_ROBIN
    choice_count: int = 2
    hashing: Hashing = DEFAULT_HASHING
    assignment: Assignment | None = None
    eds_name: str = ""
    connect_timeout: float = 5.0
    limits: Limits = Limits()
    high_limits: Limits = Limits()
    outlier: OutlierDetection | None = None
    health_check: HealthCheck | None = None
    circuit_breaker: CircuitBreaker | None = None
    remove_while_healthy: bool = False  # ignore_health_on_host_removal: discovery alone decides who leaves
    panic_threshold: float = 50.0
    max_requests_per_connection: int = 0
    idle_timeout: float = 3600.0
    dns_refresh_rate: float = 5.0
    dns_family: DnsFamily = DnsFamily.AUTO
    http2: bool = False  # explicit HTTP/2 upstream: only the control plane's own cluster, which gRPC itself dials
    ping_interval: float = 0.0  # HTTP/2 keep-alive; 0.0: none
    ping_timeout: float = 0.0
    buffer_limit: int = 1024 * 1024
    enable_trailers: bool = False  # HTTP/1.1 trailers of responses are passed on, not dropped
    locality_weighted: bool = False  # locality_weighted_lb_config: the localities' weights count
    bind_address: str = ""  # upstream_bind_config: the source address of connections to the upstream
    eds_timeout: float = 15.0  # initial_fetch_timeout: warm without endpoints after that; 0.0: wait for ever
    alt_stat_name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source: bytes = b""


# ── bootstrap ─────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    source: bytes = b""
