"""What is measured: a bootstrap that both proxies read, and the requests that are sent to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

from tests.bench import bootstraps, growth
from tests.bench.bootstraps import MESH_CLUSTERS, VIRTUAL_HOSTS, Ports

CLIENT_HEADERS = ("User-Agent: bench/1.0", "Accept: */*", "Accept-Encoding: gzip, deflate", "X-Custom: some value")
KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    method: str = "GET"
    path: str = "/"
    headers: tuple[str, ...] = ("Host: bench.test", *CLIENT_HEADERS)
    body: int = 0  # so many bytes


class Upstream(Enum):
    """Who answers."""

    HTTP1 = "nginx"
    HTTP2 = "nginx over HTTP/2"
    READER = "ours over HTTP/2, which reads uploads to their end"
    GRPC = "grpcio"


@dataclass(frozen=True, slots=True)
class Case:
    """`body_mib` is what a request moves: with it the cost is told per MiB. Other proxies run as `references` where they
    can be configured to do the same work; `latency` says whether one connection alone is measured, too. With `small` the
    same is measured with less of something, in the same run: growth is what the two differ by. Clients speak HTTP/1 unless
    there are `streams`, so many at a time on each of `connections`; `grpc` is the method that grpcio calls. `goal` is
    what this project wants of itself compiled, times Envoy's CPU time."""

    name: str
    about: str
    bootstrap: Callable[[Ports], dict[str, Any]]
    requests: tuple[Request, ...] = (Request(),)
    body_mib: float = 0.0
    references: bool = False
    latency: bool = True
    small: Case | None = None
    upstream: Upstream = Upstream.HTTP1
    connections: int = 0  # as many as the run's options say
    streams: int = 0
    grpc: str = ""
    goal: float = 0.8

    @property
    def variants(self) -> tuple[Case, ...]:
        return (self,) if self.small is None else (self.small, self)


def mesh_requests() -> tuple[Request, ...]:
    """A request to each host, the routes in turn."""
    return tuple(
        Request(
            path=f"/api/v{number % 10}/items?id={number}",
            headers=(f"Host: svc-{number}.default.svc.cluster.local:9080", *CLIENT_HEADERS),
        )
        for number in range(VIRTUAL_HOSTS)
    )


def _grown(
    name: str, about: str, make: Callable[[int, Ports], Any], few: int, many: int, requests: tuple[Request, ...]
) -> Case:
    small = Case(f"{few:,}", about, partial(make, few), requests, latency=False)
    return Case(name, about, partial(make, max(many, few)), requests, latency=False, small=small)


def _sized(make: Callable[..., dict[str, Any]], **fixed: Any) -> Callable[[int, Ports], dict[str, Any]]:
    return lambda count, ports: make(ports, count, **fixed)


def _headers_case(count: int, small: Case | None = None) -> Case:
    """So many request headers, and as many of the response's."""
    headers = ("Host: bench.test", *(f"X-Header-{number}: value of header {number}" for number in range(count - 1)))
    request = Request(path=f"/headers-{count}", headers=headers)
    name = "headers-100" if small else str(count)
    about = "8 or 100 headers in the request, and as many in the response"
    return Case(name, about, partial(growth.headers, most=200), (request,), latency=False, small=small)


_ROUTE_REQUESTS = tuple(Request(path=f"/service-{50 * number}/items") for number in range(200))
_CLUSTER_REQUESTS = tuple(
    Request(headers=(f"Host: service-{number}", *CLIENT_HEADERS)) for number in range(growth.HOSTS)
)
_ENDPOINT_REQUESTS = tuple(Request(path=f"/{number}") for number in range(200))
_POLICIES = ("LEAST_REQUEST", "ROUND_ROBIN", "RING_HASH", "MAGLEV")


# Connections × streams.
_SHAPES = ((1, 32), (32, 1), (8, 100))
_PLAIN, _MESH = partial(bootstraps.plain, http2=True), partial(bootstraps.mesh, http2=True)


def _http2_cases() -> Iterator[Case]:
    """HTTP/2 on either side or on both. Latencies say little where a connection has many requests at a time."""
    http2 = partial(Case, latency=False, upstream=Upstream.HTTP2)
    for connections, streams in _SHAPES:
        shape = f"{connections}x{streams}"
        about = f"HTTP/2 to HTTP/2, {connections} × {streams} streams"
        at_once = {"connections": connections, "streams": streams}
        yield http2(f"h2-plain-{shape}", f"{about}, otherwise as plain", _PLAIN, **at_once)
        yield http2(f"h2-mesh-{shape}", f"{about}, otherwise as mesh", _MESH, mesh_requests(), goal=0.9, **at_once)
    yield http2("h1-h2", "HTTP/1 from clients, HTTP/2 to hosts", _PLAIN)
    yield Case(
        "h2-h1", "HTTP/2 from clients, HTTP/1 to hosts", bootstraps.plain, latency=False, connections=8, streams=4
    )
    for size, name in ((64 * KIB, "64k"), (MIB, "1m")):
        bulk = partial(http2, body_mib=size / MIB, connections=8, streams=4, goal=1.0)
        down, up = Request(path=f"/{name}"), Request("POST", "/sink", body=size)
        yield bulk(f"h2-down-{name}", f"HTTP/2 to HTTP/2, responses of {size // KIB:,} KiB", _PLAIN, (down,))
        about = f"HTTP/2 to HTTP/2, requests of {size // KIB:,} KiB"
        yield bulk(f"h2-up-{name}", about, _PLAIN, (up,), upstream=Upstream.READER)
    grpc = partial(http2, upstream=Upstream.GRPC, connections=4)
    for profile, bootstrap, goal in (("plain", _PLAIN, 0.8), ("mesh", _MESH, 0.9)):
        about = f"grpcio on both sides, unary calls with 100 bytes, otherwise as {profile}"
        yield grpc(f"grpc-unary-{profile}", about, bootstrap, grpc="Unary", streams=8, goal=goal)
        about = f"grpcio on both sides, calls answered with 1,000 messages of 100 bytes, otherwise as {profile}"
        yield grpc(f"grpc-stream-{profile}", about, bootstrap, grpc="Stream", streams=2, goal=goal)


def all_cases(divisor: int = 1) -> dict[str, Case]:
    """By name; with a divisor there is so many times less of what there is much of."""
    cases = (
        Case(
            "plain", "one route, a retry policy, outlier detection, no log", bootstraps.plain, references=True, goal=0.5
        ),
        Case(
            "mesh",
            f"{VIRTUAL_HOSTS} virtual hosts × 10 routes over {MESH_CLUSTERS} clusters, request ids, header operations, a "
            "JSON access log, 1 % tracing to a collector; on our side Istio's metrics, which a plain Envoy does not have",
            bootstraps.mesh,
            mesh_requests(),
            references=True,
            goal=0.65,
        ),
        Case("down-64k", "responses of 64 KiB", bootstraps.plain, (Request(path="/64k"),), 64 * KIB / MIB),
        Case("down-1m", "responses of 1 MiB", bootstraps.plain, (Request(path="/1m"),), 1.0),
        Case(
            "up-64k", "requests of 64 KiB", bootstraps.plain, (Request("POST", "/sink", body=64 * KIB),), 64 * KIB / MIB
        ),
        Case("up-1m", "requests of 1 MiB", bootstraps.plain, (Request("POST", "/sink", body=MIB),), 1.0),
        _grown(
            "routes-10000",
            "1 or 10,000 routes in one virtual host, by prefix; 200 of them are asked for",
            _sized(growth.routes),
            1,
            10_000 // divisor,
            _ROUTE_REQUESTS,
        ),
        _grown(
            "clusters-1000",
            f"1 or 1,000 clusters behind {growth.HOSTS:,} virtual hosts",
            _sized(growth.clusters),
            1,
            1_000 // divisor,
            _CLUSTER_REQUESTS,
        ),
        *(
            _grown(
                f"endpoints-{policy.lower().replace('_', '-')}",
                f"10 or 10,000 endpoints in one cluster, {policy}",
                _sized(growth.endpoints, policy=policy),
                10,
                10_000 // divisor,
                _ENDPOINT_REQUESTS,
            )
            for policy in _POLICIES
        ),
        _headers_case(100, _headers_case(8)),
        *_http2_cases(),
    )
    return {case.name: case for case in cases}


CASES = all_cases()
