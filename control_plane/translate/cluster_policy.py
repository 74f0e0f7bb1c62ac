"""A traffic policy on a cluster: balancing, limits, ejection. Istio's defaults where the policy says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, NamedTuple

from envoy.config.cluster.v3.cluster_pb2 import Cluster, LoadBalancingPolicy
from envoy.extensions.http.header_formatters.preserve_case.v3.preserve_case_pb2 import PreserveCaseFormatterConfig
from envoy.extensions.load_balancing_policies.least_request.v3.least_request_pb2 import LeastRequest
from envoy.extensions.load_balancing_policies.ring_hash.v3.ring_hash_pb2 import RingHash
from envoy.extensions.load_balancing_policies.round_robin.v3.round_robin_pb2 import RoundRobin
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from control_plane.translate.locality import weighted
from control_plane.translate.messages import duration
from control_plane.translate.policy import Policy
from control_plane.translate.ports import is_http, is_http2, is_unknown, may_be_http
from control_plane.translate.viewer import Audience
from control_plane.world import MeshConfig
from mesh.istio.destination_rule import (
    ConnectionPoolSettings,
    H2UpgradePolicy,
    HTTPSettings,
    OutlierDetection,
    RetryBudget,
    TcpKeepalive,
    TCPSettings,
)
from mesh.istio.load_balancing import (
    ConsistentHashLB,
    LoadBalancerSettings,
    SimpleLB,
    ZoneAwareLoadBalancerSetting,
)
from mesh.node import ServicePort
from mesh.xds import any_of

UNLIMITED: Final = 2**32 - 1
_KEEPS_CASE: Final = any_of(PreserveCaseFormatterConfig())
HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
DEFAULT_RING_SIZE: Final = 1024
_ALWAYS: Final = 100  # percent

_LB: Final = {
    SimpleLB.UNSPECIFIED: Cluster.LEAST_REQUEST,
    SimpleLB.LEAST_REQUEST: Cluster.LEAST_REQUEST,
    SimpleLB.LEAST_CONN: Cluster.LEAST_REQUEST,
    SimpleLB.ROUND_ROBIN: Cluster.ROUND_ROBIN,
    SimpleLB.RANDOM: Cluster.RANDOM,
    SimpleLB.PASSTHROUGH: Cluster.LEAST_REQUEST,  # of those who name hosts; others' clusters are ORIGINAL_DST
}
_GRADUAL: Final = (SimpleLB.UNSPECIFIED, SimpleLB.LEAST_REQUEST, SimpleLB.LEAST_CONN, SimpleLB.ROUND_ROBIN)
WARMUP_MINIMUM: Final = 10.0  # percent
RETRY_BUDGET: Final = 20.0  # percent
MIN_RETRIES: Final = 3
HTTP2_PING_INTERVAL: Final = 30.0
HTTP2_PING_TIMEOUT: Final = 10.0
_LEAST_REQUEST: Final = ("envoy.load_balancing_policies.least_request", LeastRequest())
_ROUND_ROBIN: Final = ("envoy.load_balancing_policies.round_robin", RoundRobin())


class Spoken(Enum):
    """What proxies speak to a cluster's hosts."""

    HTTP1 = "HTTP1"
    HTTP2 = "HTTP2"
    AS_CLIENT = "AS_CLIENT"  # what the request came in


def apply_policy(
    cluster: Any, policy: Policy, mesh: MeshConfig, audience: Audience, port: ServicePort | None = None
) -> None:
    """Completes a cluster whose discovery type is set. What its hosts speak `port` says; HTTP/1.1 where there is none."""
    _balancing(cluster, policy.load_balancer, audience)
    _pool(cluster, policy.connection_pool, mesh, port)
    if policy.retry_budget is not None:
        _budget(cluster, policy.retry_budget)
    if weighted(policy) and not _finds_by_request(cluster):
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()
    zones = policy.load_balancer.zone_aware_lb_setting if policy.load_balancer is not None else None
    if zones is not None and not _finds_by_request(cluster):
        _by_zone(cluster.common_lb_config.zone_aware_lb_config, zones)
    if policy.outlier_detection is not None:
        _outlier(cluster, policy.outlier_detection)
        if codes := policy.outlier_detection.outlier_detection_http_error_codes:
            _errors(cluster, codes)


def _by_zone(config: Any, settings: ZoneAwareLoadBalancerSetting) -> None:
    config.SetInParent()
    if settings.enabled is False:
        config.routing_enabled.value = 0
    if settings.min_cluster_size is not None:
        config.min_cluster_size.value = settings.min_cluster_size


def _finds_by_request(cluster: Any) -> bool:
    return bool(cluster.HasField("cluster_type")) or cluster.type == Cluster.ORIGINAL_DST


def _balancing(cluster: Any, settings: LoadBalancerSettings | None, audience: Audience) -> None:
    # Pools are small: rather no host at all than the ones that are known to be bad.
    cluster.common_lb_config.healthy_panic_threshold.value = 0
    if _finds_by_request(cluster):
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
        return
    if settings is not None and settings.consistent_hash is not None:
        _hash_table(cluster, settings.consistent_hash, audience)
        return
    wanted = settings.simple if settings is not None else SimpleLB.UNSPECIFIED
    if audience is not Audience.GRPC:
        cluster.lb_policy = _LB[wanted]
        if settings is not None:
            _slow_start(cluster, settings)
        return
    # gRPC rejects lb_policy LEAST_REQUEST; of a list it takes the first policy that it has.
    _offer(cluster, *((_ROUND_ROBIN,) if _LB[wanted] != Cluster.LEAST_REQUEST else (_LEAST_REQUEST, _ROUND_ROBIN)))


def _slow_start(cluster: Any, settings: LoadBalancerSettings) -> None:
    """A new endpoint gets its share gradually. Istio's defaults: from 10 % of it, linearly."""
    warmup = settings.warmup
    seconds = warmup.duration if warmup is not None else settings.warmup_duration_secs
    if seconds is None or settings.simple not in _GRADUAL:
        return
    by_round = cluster.lb_policy == Cluster.ROUND_ROBIN
    slow = (cluster.round_robin_lb_config if by_round else cluster.least_request_lb_config).slow_start_config
    slow.slow_start_window.CopyFrom(duration(seconds))
    minimum = warmup.minimum_percent if warmup is not None else None
    slow.min_weight_percent.value = WARMUP_MINIMUM if minimum is None else minimum
    aggression = warmup.aggression if warmup is not None else None
    slow.aggression.default_value = 1.0 if aggression is None else aggression
    slow.aggression.runtime_key = ""


def _offer(cluster: Any, *offered: tuple[str, Any]) -> None:
    policies = LoadBalancingPolicy()
    for name, config in offered:
        policies.policies.add().typed_extension_config.name = name
        policies.policies[-1].typed_extension_config.typed_config.CopyFrom(any_of(config))
    cluster.load_balancing_policy.CopyFrom(policies)


def _hash_table(cluster: Any, settings: ConsistentHashLB, audience: Audience) -> None:
    """What of a request is hashed, its route says (`hash_policy.py`)."""
    ring = settings.ring_hash.minimum_ring_size if settings.ring_hash is not None else settings.minimum_ring_size
    if audience is Audience.GRPC:  # it has no MAGLEV
        config = RingHash(hash_function=RingHash.XX_HASH)
        config.minimum_ring_size.value = ring or DEFAULT_RING_SIZE
        _offer(cluster, ("envoy.load_balancing_policies.ring_hash", config), _ROUND_ROBIN)
    elif settings.maglev is not None:
        cluster.lb_policy = Cluster.MAGLEV
        cluster.maglev_lb_config.table_size.value = settings.maglev.table_size
    else:
        cluster.lb_policy = Cluster.RING_HASH
        cluster.ring_hash_lb_config.minimum_ring_size.value = ring or DEFAULT_RING_SIZE


def _pool(cluster: Any, settings: ConnectionPoolSettings | None, mesh: MeshConfig, port: ServicePort | None) -> None:
    tcp = settings.tcp if settings is not None else None
    http = settings.http if settings is not None else None
    timeout = tcp.connect_timeout if tcp is not None else None
    cluster.connect_timeout.CopyFrom(duration(mesh.connect_timeout if timeout is None else timeout))
    limits = cluster.circuit_breakers.thresholds.add()
    limits.max_connections.value = (tcp.max_connections if tcp is not None else 0) or UNLIMITED
    limits.max_pending_requests.value = (http.http1_max_pending_requests if http is not None else 0) or UNLIMITED
    limits.max_requests.value = (http.http2_max_requests if http is not None else 0) or UNLIMITED
    limits.max_retries.value = (http.max_retries if http is not None else 0) or UNLIMITED
    keepalive = (tcp.tcp_keepalive if tcp is not None else None) or mesh.tcp_keepalive
    if keepalive is not None:
        _keepalive(cluster, keepalive)
    said = spoken(http, port, mesh.http2_upgrade) if port is not None else Spoken.HTTP1
    set_http_options(cluster, said, reuse(tcp, http), http, mesh.headers.keep_case)


def spoken(http: HTTPSettings | None, port: ServicePort, upgraded: bool = False) -> Spoken:
    """Istio's choice: what is declared, unless the rule asks for more; what is not declared, with each client anew.
    `upgraded` is what the mesh does where a rule says nothing: HTTP/2 for what is declared as HTTP."""
    if http is not None and http.use_client_protocol:
        return Spoken.AS_CLIENT
    policy = http.h2_upgrade_policy if http is not None else H2UpgradePolicy.DEFAULT
    if is_http2(port) or (policy is H2UpgradePolicy.UPGRADE and may_be_http(port)):
        return Spoken.HTTP2
    if upgraded and policy is H2UpgradePolicy.DEFAULT and is_http(port):
        return Spoken.HTTP2
    return Spoken.AS_CLIENT if is_unknown(port) else Spoken.HTTP1


def _keepalive(cluster: Any, settings: TcpKeepalive) -> None:
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    keepalive.SetInParent()
    if settings.probes:
        keepalive.keepalive_probes.value = settings.probes
    if settings.time is not None:
        keepalive.keepalive_time.value = max(1, round(settings.time))
    if settings.interval is not None:
        keepalive.keepalive_interval.value = max(1, round(settings.interval))


def _budget(cluster: Any, settings: RetryBudget) -> None:
    budget = cluster.circuit_breakers.thresholds[0].retry_budget
    budget.budget_percent.value = RETRY_BUDGET if settings.percent is None else settings.percent
    budget.min_retry_concurrency.value = settings.min_retry_concurrency or MIN_RETRIES


def _http1(options: Any, keeps_case: bool) -> None:
    options.SetInParent()
    if keeps_case:
        keep_case(options)


def keep_case(options: Any) -> None:
    """Header names of HTTP/1 go on as they came."""
    formatter = options.header_key_format.stateful_formatter
    formatter.name = "preserve_case"
    formatter.typed_config.CopyFrom(_KEEPS_CASE)


class Reuse(NamedTuple):
    """How long a connection is used, and for how much; None and 0 where nothing is said."""

    idle_timeout: float | None = None
    max_requests: int = 0
    max_duration: float | None = None


def reuse(tcp: TCPSettings | None, http: HTTPSettings | None, idle_timeout: float | None = None) -> Reuse:
    """What settings say of it; `idle_timeout` holds where they say none."""
    for said in (tcp.idle_timeout if tcp is not None else None, http.idle_timeout if http is not None else None):
        idle_timeout = idle_timeout if said is None else said
    return Reuse(
        idle_timeout,
        http.max_requests_per_connection if http is not None else 0,
        tcp.max_connection_duration if tcp is not None else None,
    )


NO_LIMIT: Final = Reuse()


def set_http_options(
    cluster: Any,
    spoken_to: Spoken,
    use: Reuse = NO_LIMIT,
    http: HTTPSettings | None = None,
    keeps_case: bool = False,
) -> None:
    """What is spoken to the cluster and how its connections are reused, when anything about that is said."""
    if spoken_to is Spoken.HTTP1 and use == NO_LIMIT and not keeps_case:
        return
    options = HttpProtocolOptions()
    if spoken_to is Spoken.HTTP1:
        _http1(options.explicit_http_config.http_protocol_options, keeps_case)
    elif spoken_to is Spoken.HTTP2:
        _http2(options.explicit_http_config.http2_protocol_options, http)
    else:
        _http1(options.use_downstream_protocol_config.http_protocol_options, keeps_case)
        _http2(options.use_downstream_protocol_config.http2_protocol_options, http)
    common = options.common_http_protocol_options
    if use.idle_timeout is not None:
        common.idle_timeout.CopyFrom(duration(use.idle_timeout))
    if use.max_requests:
        common.max_requests_per_connection.value = use.max_requests
    if use.max_duration is not None:
        common.max_connection_duration.CopyFrom(duration(use.max_duration))
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(any_of(options))


def _outlier(cluster: Any, settings: OutlierDetection) -> None:
    """A count of 0 switches its detector off; what is not set has Envoy's default, which is Istio's."""
    out = cluster.outlier_detection
    out.enforcing_success_rate.value = 0
    if (count := settings.consecutive_5xx_errors) is not None:
        out.consecutive_5xx.value = count
        out.enforcing_consecutive_5xx.value = _ALWAYS if count else 0
    if (count := settings.consecutive_gateway_errors) is not None:
        out.consecutive_gateway_failure.value = count
        out.enforcing_consecutive_gateway_failure.value = _ALWAYS if count else 0
    if settings.interval is not None:
        out.interval.CopyFrom(duration(settings.interval))
    if settings.base_ejection_time is not None:
        out.base_ejection_time.CopyFrom(duration(settings.base_ejection_time))
    if settings.max_ejection_percent:
        out.max_ejection_percent.value = settings.max_ejection_percent
    if settings.split_external_local_origin_errors:
        out.split_external_local_origin_errors = True
        out.enforcing_local_origin_success_rate.value = 0
        if settings.consecutive_local_origin_failures:
            out.consecutive_local_origin_failure.value = settings.consecutive_local_origin_failures
            out.enforcing_consecutive_local_origin_failure.value = _ALWAYS
    cluster.common_lb_config.healthy_panic_threshold.value = settings.min_health_percent


def _errors(cluster: Any, codes: Sequence[int]) -> None:
    """Responses of these codes count as errors, and no others."""
    options = HttpProtocolOptions()
    if not cluster.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options):
        options.explicit_http_config.http_protocol_options.SetInParent()
    matcher = options.outlier_detection.error_matcher
    one = len(codes) == 1
    for code in codes:
        rule = matcher if one else matcher.or_match.rules.add()
        rule.http_response_headers_match.headers.add(name=":status").string_match.exact = str(code)
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(any_of(options))


def _http2(options: Any, http: HTTPSettings | None) -> None:
    options.SetInParent()
    if http is None:
        return
    if http.max_concurrent_streams:
        options.max_concurrent_streams.value = http.max_concurrent_streams
    if (keepalive := http.http2_keepalive) is not None:
        pings = options.connection_keepalive
        pings.interval.CopyFrom(duration(HTTP2_PING_INTERVAL if keepalive.interval is None else keepalive.interval))
        pings.timeout.CopyFrom(duration(HTTP2_PING_TIMEOUT if keepalive.timeout is None else keepalive.timeout))
