"""The stations that decide, one operation each: for `tests.bench.micro`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import SimpleNamespace

from sidecar.balancer.levels import Level, Rules
from sidecar.balancer.priorities import build
from sidecar.codec import render as heads
from sidecar.codec.h1_parser import RequestParser, ResponseParser
from sidecar.config import model
from sidecar.http.exchange import Exchange
from sidecar.http.head import RequestHead
from sidecar.http.headers import Headers
from sidecar.router.table import RouteTable
from sidecar.telemetry.stats import ClusterStats, Stats
from sidecar.upstream.host import Host
from tests.bench.micro_path import REQUEST, RESPONSE
from tests.unit.sidecar.telemetry.exchanges import exchange

Operations = list[tuple[str, Callable[[], object]]]
POLICIES = (
    model.LbPolicy.LEAST_REQUEST,
    model.LbPolicy.ROUND_ROBIN,
    model.LbPolicy.RANDOM,
    model.LbPolicy.RING_HASH,
    model.LbPolicy.MAGLEV,
)


def parse() -> Operations:
    """Heads, as the codec cuts them out; with many headers, too."""
    request, response = (data[: data.index(b"\r\n\r\n") + 4] for data in (REQUEST, RESPONSE))
    more = b"".join(b"X-Header-%d: value of header %d\r\n" % (number, number) for number in range(90))
    many = request[:-2] + more + b"\r\n"
    parser = RequestParser()
    return [
        ("request head, 5 headers", lambda: parser.parse(request)),
        ("request head, 95 headers", lambda: parser.parse(many)),
        ("response head, 5 headers", lambda: ResponseParser().parse(response)),
    ]


def match() -> Operations:
    """Finding a route by prefix: the last of so many in one virtual host, and in the last of so many hosts."""
    operations: Operations = []
    for count in (1, 10, 10_000):
        routes = tuple(_route(f"/service-{number}/") for number in range(count))
        table = RouteTable(model.RouteConfig("r", (model.VirtualHost("v", ("*",), routes),)))
        asked = _asking(b"a", b"/service-%d/items?id=1" % (count - 1))
        operations.append((f"route of {count:,} in one virtual host", lambda t=table, a=asked: t.find(a)))  # type: ignore[misc]
    hosts = tuple(model.VirtualHost(f"v{n}", (f"host-{n}",), (_route("/"),)) for n in range(1000))
    table, asked = RouteTable(model.RouteConfig("r", hosts)), _asking(b"host-999", b"/")
    return [*operations, ("virtual host of 1,000", lambda: table.find(asked))]


def _route(prefix: str) -> model.Route:
    action = model.Forward((model.WeightedCluster("up", 1),))
    return model.Route(model.RouteMatch(model.PathMatch.PREFIX, prefix), action)


def _asking(authority: bytes, path: bytes) -> Exchange:
    asked = exchange(path=path)
    asked.authority = authority
    return asked


def balance() -> Operations:
    """A pick among so many hosts of one priority, all of them healthy."""
    operations: Operations = []
    stats = ClusterStats(Stats(), "up")
    wanted_for = SimpleNamespace(hash_key=1234567890123456789, repicks=0)
    for count in (10, 10_000):
        where = model.LocalityEndpoints(())
        hosts = [Host(model.Endpoint(model.Address(f"10.0.{n // 250}.{n % 250}", 80)), where) for n in range(count)]
        for policy in POLICIES:
            rules = Rules(model.Balancing(policy), stats, random.Random(1), time.monotonic)
            pick = build([Level(hosts)], rules)
            pick(wanted_for)  # makes the table
            operations.append((f"pick of {count:,}, {policy.value}", lambda p=pick: p(wanted_for)))  # type: ignore[misc]
    return operations


def render() -> Operations:
    headers: Headers = [
        (b"user-agent", b"bench"),
        (b"accept", b"*/*"),
        (b"x-forwarded-proto", b"http"),
        (b"x-request-id", b"11111111-2222-4333-8444-555555555555"),
        (b"x-envoy-expected-rq-timeout-ms", b"15000"),
    ]
    head = RequestHead(b"GET", b"/items?id=1", headers, {}, {})
    head.authority = b"productpage:9080"
    return [
        ("request head, 5 headers", lambda: heads.request_head(head, b"")),
        ("response head, 5 headers", lambda: heads.response_head(200, headers)),
    ]
