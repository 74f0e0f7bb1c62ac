"""DestinationRule: what holds for the traffic to a host once routing is done: subsets, balancing, limits, ejection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from mesh.istio.destination import PortSelector
from mesh.istio.load_balancing import LoadBalancerSettings
from mesh.istio.model import Found, Message, repeated
from mesh.istio.scalars import (
    CookieAge,
    Count,
    DnsLabel,
    Duration,
    ExportTo,
    Int32,
    Integer,
    Labels,
    Rows,
    WholePercent,
    WildcardHost,
    Word,
)


class TcpKeepalive(Message):
    """What is not set is the operating system's own."""

    probes: Count = 0
    time: Duration | None = None
    interval: Duration | None = None


class TCPSettings(Message):
    max_connections: Int32 = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: CookieAge | None = None


class H2UpgradePolicy(StrEnum):
    """DEFAULT is what the mesh does, which is not to upgrade."""

    DEFAULT = "DEFAULT"
    DO_NOT_UPGRADE = "DO_NOT_UPGRADE"
    UPGRADE = "UPGRADE"


class Http2Keepalive(Message):
    """PINGs on connections of HTTP/2: how often, and how long an answer may take."""

    interval: Duration | None = None
    timeout: Duration | None = None


class HTTPSettings(Message):
    """Zero means the default, as in Istio."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Word[H2UpgradePolicy] = H2UpgradePolicy.DEFAULT
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 = 0
    http2_keepalive: Http2Keepalive | None = Field(default=None, alias="http2KeepAlive")

    def rules(self) -> Iterator[Found]:
        if self.use_client_protocol and self.h2_upgrade_policy is H2UpgradePolicy.UPGRADE:
            yield Found(("useClientProtocol",), "excludes h2UpgradePolicy: UPGRADE, which says another protocol")


class ConnectionPoolSettings(Message):
    at_least_one = (("tcp", "http"),)

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class OutlierDetection(Message):
    """The consecutive counts are None when absent (the default holds) and 0 when switched off. What counts as an error are
    responses from 500 on, or those of the codes that are listed."""

    consecutive_5xx_errors: Count | None = Field(default=None, alias="consecutive5xxErrors")
    consecutive_gateway_errors: Count | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: Count | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: WholePercent = 0
    min_health_percent: WholePercent = 0
    outlier_detection_http_error_codes: Rows[Annotated[Integer, Field(ge=100, le=599)]] = ()

    def rules(self) -> Iterator[Found]:
        if self.consecutive_local_origin_failures and not self.split_external_local_origin_errors:
            message = "takes effect only with splitExternalLocalOriginErrors: true"
            yield Found(("consecutiveLocalOriginFailures",), message)


class TLSMode(StrEnum):
    DISABLE = "DISABLE"


class ClientTLSSettings(Message):
    mode: Word[TLSMode] = TLSMode.DISABLE


class PortTrafficPolicy(Message):
    at_least_one = (("loadBalancer", "connectionPool", "outlierDetection", "tls"),)

    port: PortSelector
    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None


class RetryBudget(Message):
    """Of the requests that are active or pending, at most this share may be retries, and `min_retry_concurrency` of them
    always may. What is not set is Istio's default."""

    percent: Annotated[float, Field(ge=0, le=100)] | None = None
    min_retry_concurrency: Count = 0


class TrafficPolicy(Message):
    at_least_one = (("loadBalancer", "connectionPool", "outlierDetection", "tls", "portLevelSettings", "retryBudget"),)

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Rows[PortTrafficPolicy] = ()
    retry_budget: RetryBudget | None = None

    def rules(self) -> Iterator[Found]:
        for index, port in repeated(settings.port.number for settings in self.port_level_settings):
            yield Found(("portLevelSettings", index, "port", "number"), f"port {port} has settings already")


class Subset(Message):
    name: DnsLabel
    labels: Labels = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class ClientSelector(Message):
    """Of the rule's own namespace, the workloads that call: those with all of the labels."""

    match_labels: Labels = Field(default_factory=dict)


class DestinationRule(Message):
    host: WildcardHost
    traffic_policy: TrafficPolicy | None = None
    subsets: Rows[Subset] = ()
    export_to: ExportTo = ()
    workload_selector: ClientSelector | None = None

    def rules(self) -> Iterator[Found]:
        for index, name in repeated(subset.name for subset in self.subsets):
            yield Found(("subsets", index, "name"), f'there is a subset "{name}" already')


def summary(spec: Mapping[str, Any]) -> str:
    """The host and the names of its subsets."""
    subsets = ", ".join(str(subset.get("name", "")) for subset in spec.get("subsets", []))
    return str(spec.get("host", "")) + (f" subsets {subsets}" if subsets else "")
