"""Exchanges as the data plane leaves them, with only what telemetry reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mesh.clock import ManualClock
from mesh.node import Node
from sidecar.config.model import Address, Cluster, Discovery, Endpoint, Forward, PathMatch, Route, RouteMatch
from sidecar.http.exchange import Exchange
from sidecar.telemetry.istio_metrics import service_of
from sidecar.telemetry.peer import Peer

CLOCK_START = 1_000.0


@dataclass
class FakeConnection:
    remote: Address = field(default_factory=lambda: Address("127.0.0.1", 40000))
    local: Address = field(default_factory=lambda: Address("127.0.1.2", 15001))
    kept: dict[Any, Any] = field(default_factory=dict)


@dataclass
class FakeCluster:
    config: Cluster

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def log_name(self) -> str:
        return self.config.alt_stat_name or self.config.name

    @property
    def service(self) -> tuple[str, str] | None:
        return service_of(self.config.name, self.config.metadata)


@dataclass
class FakeHost:
    address: Address
    peer: Peer | None = None
    endpoint: Endpoint = field(init=False)

    def __post_init__(self) -> None:
        self.endpoint = Endpoint(self.address)

    @property
    def name(self) -> str:
        return str(self.address)


@dataclass
class FakeRoute:
    name: str
    config: Route


def clock() -> ManualClock:
    """2023-11-14T22:13:20Z."""
    return ManualClock(CLOCK_START, 1_700_000_000.0)


def node(**changes: Any) -> Node:
    fields: dict[str, Any] = {
        "kind": "sidecar",
        "address": "127.0.1.2",
        "name": "productpage-v1-1",
        "namespace": "default",
        "service": "productpage",
        "labels": {"app": "productpage", "version": "v1"},
        "workload": "productpage-v1",
        "cluster_id": "Kubernetes",
    }
    return Node(**{**fields, **changes})


def cluster(name: str = "outbound|9080||reviews.default.svc.cluster.local", **services: str) -> FakeCluster:
    service = {"host": "reviews.default.svc.cluster.local", "name": "reviews", "namespace": "default", **services}
    return FakeCluster(Cluster(name, Discovery.EDS, metadata={"istio": {"services": [service]}}))


def route(name: str = "default", decorator: str = "", metadata: Any = None) -> FakeRoute:
    match = RouteMatch(PathMatch.PREFIX, "/")
    return FakeRoute(name, Route(match, Forward(()), name=name, decorator=decorator, metadata=metadata or {}))


def exchange(
    method: bytes = b"GET",
    path: bytes = b"/reviews/1?verbose=1&x=",
    headers: list[tuple[bytes, bytes]] | None = None,
    **fields: Any,
) -> Exchange:
    """A request that was answered with 200 by 10.0.0.7:9080."""
    headers = [(b"user-agent", b"curl/8"), (b"x-forwarded-for", b"10.1.1.1")] if headers is None else headers
    made = Exchange(FakeConnection(), method, path, headers, CLOCK_START)
    made.indexed_headers = dict(headers)
    made.authority = b"reviews:9080"
    made.request_id = b"11111111-2222-4333-8444-555555555555"
    made.status = 200
    made.details = "via_upstream"
    made.response_headers = [(b"content-type", b"text/plain"), (b"x-envoy-upstream-service-time", b"3")]
    made.bytes_sent = 5
    made.attempts = 1
    made.cluster = cluster()
    made.cluster_name = made.cluster.name
    made.endpoint = FakeHost(Address("10.0.0.7", 9080))
    made.route = route()
    made.upstream_local = "127.0.0.1:50000"
    for name, value in fields.items():
        setattr(made, name, value)
    return made
