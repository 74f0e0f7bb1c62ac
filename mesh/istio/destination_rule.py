"""DestinationRule: what holds for the traffic to a host once routing is done: subsets, balancing, limits, ejection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import (
    PSEUDO_HEADERS,
    CookieAge,
    Count,
    DnsLabel,
    Duration,
    ExportTo,
    HeaderText,
    Int32,
    Integer,
    Labels,
    Rows,
    WholePercent,
    WildcardHost,
    Word,
    is_header_name,
)
from mesh.istio.virtual_service import PortSelector


class SimpleLB(StrEnum):
    UNSPECIFIED = "UNSPECIFIED"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    LEAST_CONN = "LEAST_CONN"  # deprecated, the same as LEAST_REQUEST
    RANDOM = "RANDOM"


MAX_RING_SIZE = 8 * 1024 * 1024  # Envoy's
MAX_TABLE_SIZE = 5_000_011


class CookieAttribute(Message):
    name: HeaderText
    value: HeaderText = ""

    def rules(self) -> Iterator[Found]:
        if not self.name:
            yield Found(("name",), "must not be empty")


class HTTPCookie(Message):
    """With `ttl` a missing cookie is made up and set; a ttl of 0 makes it one for the session."""

    name: str
    path: HeaderText = ""
    ttl: CookieAge | None = None
    attributes: Rows[CookieAttribute] = ()

    def rules(self) -> Iterator[Found]:
        if not is_header_name(self.name):
            yield Found(("name",), f"{shown(self.name)} is not a cookie's name")
        for index, name in repeated(attribute.name for attribute in self.attributes):
            yield Found(("attributes", index, "name"), f"there is an attribute {shown(name)} already")


class RingHash(Message):
    """Zero means the default, as in Istio."""

    minimum_ring_size: Annotated[Integer, Field(ge=0, le=MAX_RING_SIZE)] = 0


class MagLev(Message):
    table_size: Integer

    def rules(self) -> Iterator[Found]:
        size = self.table_size
        if not 1 < size < MAX_TABLE_SIZE:
            yield Found(("tableSize",), f"must be a prime number below {MAX_TABLE_SIZE}, not {size}")
        elif any(size % divisor == 0 for divisor in range(2, int(size**0.5) + 1)):
            yield Found(("tableSize",), f"must be a prime number, not {size}")


class ConsistentHashLB(Message):
    """One key at most: without any, requests are spread at random. `minimum_ring_size` is deprecated, `ring_hash` says
    the same."""

    at_most_one = (
        ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"),
        ("ringHash", "maglev", "minimumRingSize"),
    )

    http_header_name: str | None = None
    http_cookie: HTTPCookie | None = None
    use_source_ip: bool = False
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: MagLev | None = None
    minimum_ring_size: Annotated[Integer, Field(ge=0, le=MAX_RING_SIZE)] = 0

    def rules(self) -> Iterator[Found]:
        header = self.http_header_name
        if header is not None and header not in PSEUDO_HEADERS and not is_header_name(header):
            yield Found(("httpHeaderName",), f"{shown(header)} is not a header name")
        if self.http_query_parameter_name == "":
            yield Found(("httpQueryParameterName",), "must not be empty")


class LoadBalancerSettings(Message):
    at_most_one = (("simple", "consistentHash"),)

    simple: Word[SimpleLB] = SimpleLB.UNSPECIFIED
    consistent_hash: ConsistentHashLB | None = None


class TCPSettings(Message):
    max_connections: Int32 = 0
    connect_timeout: Duration | None = None


class HTTPSettings(Message):
    """Zero means the default, as in Istio."""

    http1_max_pending_requests: Int32 = 0
    http2_max_requests: Int32 = 0
    max_requests_per_connection: Int32 = 0
    max_retries: Int32 = 0
    idle_timeout: Duration | None = None


class ConnectionPoolSettings(Message):
    at_least_one = (("tcp", "http"),)

    tcp: TCPSettings | None = None
    http: HTTPSettings | None = None


class OutlierDetection(Message):
    """The consecutive counts are None when absent (the default holds) and 0 when switched off."""

    consecutive_5xx_errors: Count | None = Field(default=None, alias="consecutive5xxErrors")
    consecutive_gateway_errors: Count | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: Count | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: WholePercent = 0
    min_health_percent: WholePercent = 0

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


class TrafficPolicy(Message):
    at_least_one = (("loadBalancer", "connectionPool", "outlierDetection", "tls", "portLevelSettings"),)

    load_balancer: LoadBalancerSettings | None = None
    connection_pool: ConnectionPoolSettings | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTLSSettings | None = None
    port_level_settings: Rows[PortTrafficPolicy] = ()

    def rules(self) -> Iterator[Found]:
        for index, port in repeated(settings.port.number for settings in self.port_level_settings):
            yield Found(("portLevelSettings", index, "port", "number"), f"port {port} has settings already")


class Subset(Message):
    name: DnsLabel
    labels: Labels = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRule(Message):
    host: WildcardHost
    traffic_policy: TrafficPolicy | None = None
    subsets: Rows[Subset] = ()
    export_to: ExportTo = ()

    def rules(self) -> Iterator[Found]:
        for index, name in repeated(subset.name for subset in self.subsets):
            yield Found(("subsets", index, "name"), f'there is a subset "{name}" already')


def summary(spec: Mapping[str, Any]) -> str:
    """The host and the names of its subsets."""
    subsets = ", ".join(str(subset.get("name", "")) for subset in spec.get("subsets", []))
    return str(spec.get("host", "")) + (f" subsets {subsets}" if subsets else "")
