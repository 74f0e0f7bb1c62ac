"""Cluster → Cluster."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from sidecar.config.circuit_breaker import circuit_breaker
from sidecar.config.common import plaintext, typed
from sidecar.config.connection_pool import resend
from sidecar.config.dns import dns_cache, dns_discovery
from sidecar.config.endpoints import assignment
from sidecar.config.health_checks import health_check
from sidecar.config.load_balancing import load_balancing
from sidecar.config.model import (
    UNLIMITED,
    Assignment,
    Balancing,
    Cluster,
    Discovery,
    DnsCache,
    HealthCheck,
    LbPolicy,
    Limits,
    OriginalDst,
    OutlierDetection,
    TcpKeepalive,
)
from sidecar.config.reader import Reader, is_ip
from sidecar.config.source import FETCH_TIMEOUT, ads_source
from sidecar.config.upstream_http import upstream_http

_RETRIES_BUDGET: Final = 20.0
_ORIGINAL_HEADER: Final = "x-envoy-original-dst-host"
_INLINE: Final = (Discovery.STATIC, Discovery.STRICT_DNS, Discovery.LOGICAL_DNS)
_DYNAMIC: Final = "envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig"
_DNS: Final = (Discovery.STRICT_DNS, Discovery.LOGICAL_DNS)


@dataclass(frozen=True, slots=True)
class _Eds:
    name: str = ""
    timeout: float = FETCH_TIMEOUT


def compile_cluster(message: Any) -> Cluster:
    """An envoy.config.cluster.v3.Cluster; ConfigError with everything that is wrong in it."""
    reader = Reader(message)
    compiled = cluster(reader)
    reader.finish()
    return compiled


def cluster(reader: Reader) -> Cluster:
    name = reader.text("name")
    cache = _dynamic(reader.child("cluster_type"))
    discovery = Discovery.DYNAMIC if cache is not None else Discovery[reader.enum("type")]
    eds = _eds(reader, discovery, name)
    upstream = upstream_http(reader)
    common = reader.child("common_lb_config")
    balancing = load_balancing(reader, common)
    _check_policy(reader, discovery, balancing)
    limits, high = _limits(reader)
    outlier = reader.child("outlier_detection")
    plaintext(reader)
    metadata = reader.metadata("metadata")
    return Cluster(
        name=name,
        discovery=discovery,
        balancing=balancing,
        assignment=_inline(reader, discovery, name),
        eds_name=eds.name,
        eds_timeout=eds.timeout,
        connect_timeout=reader.seconds("connect_timeout", 5.0),
        limits=limits,
        high_limits=high,
        original=_original(reader, discovery),
        outlier=_outlier(outlier, upstream.error_statuses) if outlier is not None else None,
        health_check=_health_check(reader, discovery, http2=upstream.http2 is not None),
        circuit_breaker=circuit_breaker(reader, metadata),
        remove_while_healthy=reader.flag("ignore_health_on_host_removal"),
        max_requests_per_connection=reader.number("max_requests_per_connection") or upstream.max_requests,
        idle_timeout=upstream.idle_timeout,
        max_connection_duration=upstream.max_duration,
        max_response_head=upstream.max_head,
        max_response_headers=upstream.max_headers,
        tcp_keepalive=_keepalive(reader.child("upstream_connection_options")),
        preconnect_ratio=_preconnect(reader.child("preconnect_policy")),
        close_on_change=common is not None and common.flag("close_connections_on_host_set_change"),
        close_on_failure=reader.flag("close_connections_on_host_health_failure"),
        wait_for_first_check=common is not None and common.flag("ignore_new_hosts_until_first_hc"),
        resend=resend(reader, metadata),
        max_stream_duration=upstream.max_stream_duration,
        enable_trailers=upstream.enable_trailers,
        header_spelling=upstream.header_spelling,
        dns=dns_discovery(reader),
        dns_cache=cache,
        http2=upstream.http2,
        protocol_of_downstream=upstream.as_downstream,
        buffer_limit=reader.number("per_connection_buffer_limit_bytes", 1024 * 1024),
        bind_address=_bind(reader.child("upstream_bind_config")),
        alt_stat_name=reader.text("alt_stat_name"),
        metadata=metadata,
        source=reader.message.SerializeToString(deterministic=True),
    )


def _dynamic(reader: Reader | None) -> DnsCache | None:
    """The cache of a dynamic forward proxy, the one `cluster_type` that there is."""
    if reader is None:
        return None
    _, config = typed(reader, {_DYNAMIC: None}, "cluster type")
    if config is None:
        return None
    config.flag("allow_insecure_cluster_options")  # of TLS to the upstream
    config.only("allow_coalesced_connections", False)
    cache = config.child("dns_cache_config")
    if cache is None:
        config.problem("is required", "dns_cache_config")
        return None
    return dns_cache(cache)


def _health_check(reader: Reader, discovery: Discovery, *, http2: bool) -> HealthCheck | None:
    check = health_check(reader, http2=http2)
    if check is not None and discovery.while_serving:
        reader.problem(f"are not implemented for clusters of type {discovery.value}", "health_checks")
    return check


def _eds(reader: Reader, discovery: Discovery, name: str) -> _Eds:
    config = reader.child("eds_cluster_config")
    if discovery is not Discovery.EDS:
        if config is not None:
            config.problem("is for clusters of type EDS only")
            ads_source(config, "eds_config")
            config.text("service_name")
        return _Eds()
    if config is None:
        reader.problem("is required for a cluster of type EDS", "eds_cluster_config")
        return _Eds(name)
    return _Eds(config.text("service_name") or name, ads_source(config, "eds_config"))


def _inline(reader: Reader, discovery: Discovery, name: str) -> Assignment | None:
    inline = reader.child("load_assignment")
    if inline is None:
        if discovery is Discovery.LOGICAL_DNS:
            reader.problem("is required for a cluster of type LOGICAL_DNS", "load_assignment")
        return Assignment(name) if discovery in _INLINE else None
    if discovery not in _INLINE:
        inline.problem(f"is not for clusters of type {discovery.value}")
    compiled = assignment(inline, names=discovery in _DNS)
    if discovery is Discovery.LOGICAL_DNS and sum(len(each.endpoints) for each in compiled.localities) != 1:
        inline.problem("a LOGICAL_DNS cluster has exactly one endpoint", "endpoints")
    return compiled


def _check_policy(reader: Reader, discovery: Discovery, balancing: Balancing) -> None:
    provided = balancing.policy is LbPolicy.CLUSTER_PROVIDED
    if provided != discovery.while_serving:
        reader.problem(
            f"{balancing.policy.value} is not for clusters of type {discovery.value}: "
            "CLUSTER_PROVIDED belongs to ORIGINAL_DST and dynamic forward proxies",
            "lb_policy",
        )
    if balancing.hashing.by_hostname and discovery is not Discovery.STRICT_DNS:
        reader.problem("hashing by host names is for clusters of type STRICT_DNS only", "type")


def _original(reader: Reader, discovery: Discovery) -> OriginalDst:
    config = reader.child("original_dst_lb_config")
    interval = reader.seconds("cleanup_interval", OriginalDst().cleanup_interval)
    if config is None:
        return OriginalDst(cleanup_interval=interval)
    if discovery is not Discovery.ORIGINAL_DST:
        config.skip()  # nor does Envoy look at it
        return OriginalDst()
    config.refuse("metadata_key")
    asks, name = config.flag("use_http_header"), config.text("http_header_name")
    if name and not asks:
        config.problem("is not looked at without use_http_header", "http_header_name")
    header = (name or _ORIGINAL_HEADER).lower().encode("latin-1", "replace") if asks else b""
    return OriginalDst(header, config.number("upstream_port_override"), interval)


def _limits(parent: Reader) -> tuple[Limits, Limits]:
    """The thresholds of the default and of the high priority; of several for one priority the first counts."""
    found: dict[str, Limits] = {}
    reader = parent.child("circuit_breakers")
    for each in reader.children("thresholds") if reader is not None else ():
        found.setdefault(each.enum("priority"), _thresholds(each))
    seen: set[str] = set()
    for each in reader.children("per_host_thresholds") if reader is not None else ():
        priority, most = each.enum("priority"), each.number("max_connections", UNLIMITED)
        if priority not in seen:
            seen.add(priority)
            found[priority] = replace(found.get(priority, Limits()), max_connections_per_host=most)
    return found.get("DEFAULT", Limits()), found.get("HIGH", Limits())


def _thresholds(reader: Reader) -> Limits:
    budget = reader.child("retry_budget")
    return Limits(
        max_connections=reader.number("max_connections", 1024),
        max_pending=reader.number("max_pending_requests", 1024),
        max_requests=reader.number("max_requests", 1024),
        max_retries=reader.number("max_retries", 3),
        budget_percent=budget.percent("budget_percent", _RETRIES_BUDGET) if budget is not None else None,
        budget_min=budget.number("min_retry_concurrency", 3) if budget is not None else 3,
        track_remaining=reader.flag("track_remaining"),
    )


def _outlier(reader: Reader, error_statuses: frozenset[int] | None) -> OutlierDetection:
    default = OutlierDetection()
    base = reader.seconds("base_ejection_time", default.base_ejection_time)
    longest = reader.seconds("max_ejection_time", max(default.max_ejection_time, base))
    if longest < base:
        reader.problem("must not be less than base_ejection_time", "max_ejection_time")
    number = reader.number
    return OutlierDetection(
        consecutive_5xx=number("consecutive_5xx", default.consecutive_5xx),
        consecutive_gateway_failure=number("consecutive_gateway_failure", default.consecutive_gateway_failure),
        interval=reader.seconds("interval", default.interval),
        base_ejection_time=base,
        max_ejection_time=longest,
        max_ejection_percent=number("max_ejection_percent", default.max_ejection_percent),
        enforcing_consecutive_5xx=number("enforcing_consecutive_5xx", 100),
        enforcing_consecutive_gateway_failure=number("enforcing_consecutive_gateway_failure", 0),
        always_eject_one_host=reader.flag("always_eject_one_host"),
        split_local_origin=reader.flag("split_external_local_origin_errors"),
        consecutive_local_origin_failure=number("consecutive_local_origin_failure", 5),
        enforcing_consecutive_local_origin_failure=number("enforcing_consecutive_local_origin_failure", 100),
        max_ejection_time_jitter=reader.seconds("max_ejection_time_jitter"),
        enforcing_success_rate=number("enforcing_success_rate", 100),
        success_rate_minimum_hosts=number("success_rate_minimum_hosts", 5),
        success_rate_request_volume=number("success_rate_request_volume", 100),
        success_rate_stdev_factor=number("success_rate_stdev_factor", 1900),
        enforcing_local_origin_success_rate=number("enforcing_local_origin_success_rate", 100),
        failure_percentage_threshold=number("failure_percentage_threshold", 85),
        enforcing_failure_percentage=number("enforcing_failure_percentage", 0),
        enforcing_failure_percentage_local_origin=number("enforcing_failure_percentage_local_origin", 0),
        failure_percentage_minimum_hosts=number("failure_percentage_minimum_hosts", 5),
        failure_percentage_request_volume=number("failure_percentage_request_volume", 50),
        successful_active_health_check_uneject_host=reader.flag("successful_active_health_check_uneject_host", True),
        error_statuses=error_statuses,
    )


def _keepalive(reader: Reader | None) -> TcpKeepalive | None:
    config = reader.child("tcp_keepalive") if reader is not None else None
    if config is None:
        return None
    names = ("keepalive_probes", "keepalive_time", "keepalive_interval")
    return TcpKeepalive(*(config.number(name) for name in names))


def _preconnect(reader: Reader | None) -> float:
    if reader is None:
        return 1.0
    reader.only("predictive_preconnect_ratio", 1.0)
    return reader.real("per_upstream_preconnect_ratio", 1.0)


def _bind(reader: Reader | None) -> str:
    """The source address of connections to the upstream; its port must be left to the system."""
    if reader is None:
        return ""
    source = reader.child("source_address")
    if source is None:
        return ""
    source.only("protocol", "TCP")
    source.only("port_value", 0)
    address = source.text("address")
    if address and not is_ip(address):
        source.problem(f"{address!r} is not an IP address", "address")
    return address
