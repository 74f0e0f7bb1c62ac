"""DestinationRule: how requests are spread over the endpoints of a host, by policy, key and place."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import (
    PSEUDO_HEADERS,
    CookieAge,
    Count,
    Duration,
    HeaderText,
    Integer,
    Rows,
    Word,
    is_header_name,
    wrong,
)

MAX_RING_SIZE: Final = 8 * 1024 * 1024  # Envoy's
MAX_TABLE_SIZE: Final = 5_000_011
ALL_OF_IT: Final = 100  # percent


class SimpleLB(StrEnum):
    UNSPECIFIED = "UNSPECIFIED"
    ROUND_ROBIN = "ROUND_ROBIN"
    LEAST_REQUEST = "LEAST_REQUEST"
    LEAST_CONN = "LEAST_CONN"  # deprecated, the same as LEAST_REQUEST
    RANDOM = "RANDOM"
    PASSTHROUGH = "PASSTHROUGH"  # to the address that the caller dialled


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


PLACES = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")


def _place(value: str) -> str:
    """`*`, `region/*`, `region/zone/*`, or a full locality."""
    parts = value.split("/")
    if len(parts) > 3 or not all(parts) or "*" in parts[:-1]:
        raise wrong(f'must be region, region/zone or region/zone/subzone, "*" at most as the last part: {shown(value)}')
    return value


Place = Annotated[str, AfterValidator(_place)]


class Distribute(Message):
    """Of the requests of clients in `from`, so many percent to the endpoints of each place in `to`."""

    source: Place = Field(alias="from")
    to: dict[Place, Annotated[Count, Field(ge=1, le=ALL_OF_IT)]]

    def __hash__(self) -> int:
        return hash((self.source, tuple(self.to.items())))

    def rules(self) -> Iterator[Found]:
        if (total := sum(self.to.values())) != ALL_OF_IT:
            yield Found(("to",), f"the shares must add up to {ALL_OF_IT}, not {total}")


def _region(value: str) -> str:
    if not value or "/" in value or "*" in value:
        raise wrong(f"must be the name of a region, not {shown(value)}")
    return value


class Failover(Message):
    """Clients of the region `from` turn to the region `to` before any other when their own fails."""

    source: Annotated[str, AfterValidator(_region)] = Field(alias="from")
    to: Annotated[str, AfterValidator(_region)]

    def rules(self) -> Iterator[Found]:
        if self.source == self.to:
            yield Found(("to",), f"{shown(self.to)} cannot take over from itself")


class LocalityLoadBalancerSetting(Message):
    """Which places are preferred. Failing over takes outlier detection: without it, nobody knows who is down."""

    at_most_one = (("distribute", "failover"), ("distribute", "failoverPriority"))

    distribute: Rows[Distribute] = ()
    failover: Rows[Failover] = ()
    failover_priority: Rows[str] = ()
    enabled: bool | None = None

    def rules(self) -> Iterator[Found]:
        for index, source in repeated(each.source for each in self.distribute):
            yield Found(("distribute", index, "from"), f"{shown(source)} is there already")
        for index, label in enumerate(self.failover_priority):
            if not label or label.startswith("="):
                yield Found(("failoverPriority", index), "must be the name of a label, or NAME=VALUE")


class ZoneAwareLoadBalancerSetting(Message):
    """Zones of a region are the proxies' own business, which stay in theirs as far as there is room; a proxy has to be told
    who its neighbours are for that. Other regions take over, in this order, when nobody of one's own is well."""

    enabled: bool | None = None
    failover: Rows[Failover] = ()
    failover_priority: Rows[str] = ()
    min_cluster_size: Annotated[Count, Field(ge=1)] | None = None

    def rules(self) -> Iterator[Found]:
        for index, label in enumerate(self.failover_priority):
            if not label or label.startswith("="):
                yield Found(("failoverPriority", index), "must be the name of a label, or NAME=VALUE")
            elif label in PLACES:
                yield Found(
                    ("failoverPriority", index), "is a place: places are taken into account without being named"
                )


class WarmupConfiguration(Message):
    """A new endpoint gets its share of requests gradually, from `minimum_percent` of it to all of it."""

    duration: Duration
    minimum_percent: Annotated[float, Field(ge=0, le=ALL_OF_IT)] | None = None
    aggression: Annotated[float, Field(ge=1)] | None = None


class LoadBalancerSettings(Message):
    at_most_one = (
        ("simple", "consistentHash"),
        ("warmup", "warmupDurationSecs"),
        ("localityLbSetting", "zoneAwareLbSetting"),
    )

    simple: Word[SimpleLB] = SimpleLB.UNSPECIFIED
    consistent_hash: ConsistentHashLB | None = None
    locality_lb_setting: LocalityLoadBalancerSetting | None = None
    zone_aware_lb_setting: ZoneAwareLoadBalancerSetting | None = None
    warmup: WarmupConfiguration | None = None
    warmup_duration_secs: Duration | None = None  # deprecated, the same as warmup.duration

    def rules(self) -> Iterator[Found]:
        steady = self.consistent_hash is not None or self.simple in (SimpleLB.RANDOM, SimpleLB.PASSTHROUGH)
        if steady and (self.warmup is not None or self.warmup_duration_secs is not None):
            field = "warmup" if self.warmup is not None else "warmupDurationSecs"
            yield Found((field,), "takes effect only with ROUND_ROBIN and LEAST_REQUEST")
