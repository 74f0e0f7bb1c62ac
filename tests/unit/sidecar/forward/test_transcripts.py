"""Whole conversations, word for word and number for number, as they are written down in `transcripts/`.

`python -m tests.unit.sidecar.forward.test_transcripts` writes them anew after a change that is meant: read what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sidecar.config.compression_model import Compressor
from sidecar.config.filter_model import BufferBody
from sidecar.config.model import (
    MILLION,
    AccessLog,
    Address,
    CircuitBreaker,
    Cluster,
    Direction,
    DirectResponse,
    FaultConfig,
    Forward,
    HeaderAdd,
    HeaderMatcher,
    HeaderOps,
    HttpFilter,
    InternalRedirects,
    Limits,
    Mirror,
    OutlierDetection,
    PathMatch,
    Redirect,
    Resend,
    ResetHeader,
    RetryPolicy,
    Rewrite,
    Route,
    RouteConfig,
    RouteMatch,
    StreamDuration,
    VirtualHost,
    WeightedCluster,
)
from tests.harness.stage import ManualLoop, Stage, assignment, cluster, forward, hcm, manual_clock
from tests.unit.sidecar.forward.transcript import Step, written

FOLDER: Final = Path(__file__).with_name("transcripts")
GET: Final = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST: Final = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n"
CHUNKED: Final = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BAD: Final = b"HTTP/1.1 503 No\r\ncontent-length: 2\r\n\r\nno"
PART: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok"
GRPC: Final = b"POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n"
ANY: Final = RouteMatch(PathMatch.PREFIX, "/")
UP: Final = (WeightedCluster("up", 1),)
TWICE: Final = RetryPolicy(frozenset({"5xx", "connect-failure", "reset"}), attempts=2)
ONCE: Final = replace(TWICE, attempts=1)
DETECTS: Final = OutlierDetection(consecutive_5xx=3, max_ejection_percent=100, split_local_origin=True)
UPGRADE: Final = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
SWITCH: Final = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nserver: s\r\n\r\n"
CONNECT: Final = b"CONNECT db:3306 HTTP/1.1\r\nhost: db:3306\r\n\r\n"
LIVE: Final = AccessLog("stdout", metered=True)

INTERNAL: Final[dict[str, Any]] = {"use_remote_address": True, "internal_ranges": ("10.0.0.0/8",)}

Make = Callable[[ManualLoop], Stage]


def on(
    *routes: Route,
    clusters: Sequence[Cluster] = (),
    direction: Any = Direction.UNSPECIFIED,
    limit: int = 1 << 20,
    **fields: Any,
) -> Make:
    """A stage with these routes."""
    return lambda loop: Stage(loop, hcm(*routes, **fields), clusters or (cluster(outlier=DETECTS),), limit, direction)


def host(*routes: Route, **fields: Any) -> RouteConfig:
    return RouteConfig("local", (VirtualHost("v", ("*",), routes, **fields),))


def asking(*headers: bytes, method: bytes = b"GET", path: bytes = b"/") -> bytes:
    return b"%b %b HTTP/1.1\r\nhost: a\r\n%b\r\n" % (method, path, b"".join(line + b"\r\n" for line in headers))


def copies(**fields: Any) -> Cluster:
    return replace(cluster(**fields), name="copies", assignment=assignment(Address("10.0.0.9", 80), name="copies"))


TUNNELS: Final = on(
    Route(RouteMatch(PathMatch.CONNECT, ""), Forward(UP, timeout=2.0), name="connect"),
    Route(ANY, Forward(UP, timeout=2.0), name="any", response_ops=HeaderOps((HeaderAdd(b"x-r", "1"),))),
    upgrades=frozenset({"websocket", "connect"}),
    stream_idle_timeout=10.0,
)
HEDGED: Final = on(forward(replace(TWICE, per_try_timeout=1.0), hedges=True))
REDIRECTS: Final = on(
    forward(redirects=InternalRedirects(limit=1, codes=frozenset((302, 303)), copied_headers=(b"x-copied",))),
    direction=Direction.OUTBOUND,
)
MIRRORED: Final = on(forward(mirrors=(Mirror("copies"),)), clusters=(cluster(), copies()))
TO: Final = b"HTTP/1.1 302 Found\r\nlocation: http://b/there?x\r\nx-copied: 1\r\ncontent-length: 0\r\n\r\n"

CONVERSATIONS: Final[dict[str, tuple[Make, Sequence[Step]]]] = {
    "plain": (
        on(forward()),
        [("client", GET), ("accept",), ("u1", OK), ("c1", GET), ("u1", PART), ("wait", 0.25), ("u1", b"ok")],
    ),
    "inbound": (
        on(forward(), direction=Direction.INBOUND),
        [("client", asking(b"x-envoy-peer-metadata-id: x")), ("accept",), ("u1", OK)],
    ),
    "outbound": (
        on(forward(), direction=Direction.OUTBOUND),
        [
            ("client", GET),
            ("accept",),
            ("u1", b"HTTP/1.1 200 OK\r\nx-envoy-peer-metadata: x\r\ndate: then\r\ncontent-length: 0\r\n\r\n"),
        ],
    ),
    "bodies": (
        on(forward()),
        [
            ("client", CHUNKED + b"4\r\nbody\r\n"),
            ("accept",),
            ("c1", b"0\r\nx-trailer: 1\r\n\r\n"),
            ("u1", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"),
            ("wait", 1.5),
            ("u1", b"0\r\nx-t: 2\r\n\r\n"),
        ],
    ),
    "early answer": (on(forward()), [("client", POST + b"ab"), ("accept",), ("u1", OK), ("c1", b"cd")]),
    "no body": (
        on(forward()),
        [
            ("client", asking(method=b"HEAD")),
            ("accept",),
            ("u1", b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n"),
            ("c1", GET),
            ("u1", b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nconnection: x-a\r\nx-a: 1\r\n\r\n"),
            ("c1", GET),
            ("u1", b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"),
        ],
    ),
    "own headers": (
        on(
            routes=host(
                Route(
                    ANY, Forward(UP, rewrite=Rewrite(prefix="/new/", host="h", append_forwarded_host=True)), name="r"
                ),
                include_attempt_count=True,
                include_attempt_count_in_response=True,
                request_ops=HeaderOps((HeaderAdd(b"x-q", "1"),)),
                response_ops=HeaderOps((HeaderAdd(b"x-r", "2"),)),
            ),
            via="v",
            server_header="APPEND_IF_ABSENT",
        ),
        [
            ("client", asking(b"via: 0", path=b"/old")),
            ("accept",),
            ("u1", b"HTTP/1.1 200 OK\r\nvia: 1\r\nserver: s\r\ncontent-length: 0\r\n\r\n"),
            ("c1", GET),
            ("u1", OK),
        ],
    ),
    "server passes": (
        on(
            forward(),
            server_header="PASS_THROUGH",
            always_set_request_id_in_response=True,
            generate_request_id=True,
            preserve_external_request_id=True,
        ),
        [("client", asking(b"x-request-id: 00000000-0000-4000-8000-000000000000")), ("accept",), ("u1", OK)],
    ),
    "retried": (
        on(
            routes=host(
                Route(ANY, Forward(UP, retry=TWICE)),
                include_attempt_count=True,
                include_is_timeout_retry=True,
                include_attempt_count_in_response=True,
            )
        ),
        [("client", POST + b"ab"), ("accept",), ("c1", b"cd"), ("u1", BAD), ("wait", 1.0), ("u1", OK)],
    ),
    "retries used up": (
        on(forward(ONCE)),
        [("client", GET), ("accept",), ("u1", BAD), ("wait", 1.0), ("u1", BAD), ("c1", GET), ("u1", OK)],
    ),
    "retry of refused connections": (
        on(forward(ONCE)),
        [("client", GET), ("refuse",), ("wait", 1.0), ("refuse", "late"), ("client", GET), ("accept",), ("u1", OK)],
    ),
    "retry of resets": (
        on(forward(ONCE)),
        [
            ("client", GET),
            ("accept",),
            ("u1", "resets"),
            ("wait", 1.0),
            ("accept",),
            ("u2", b"HTTP/1.1 nonsense\r\n\r\n"),
        ],
    ),
    "retry after": (
        on(forward(replace(ONCE, reset_headers=(ResetHeader(b"retry-after"),)))),
        [
            ("client", GET),
            ("accept",),
            ("u1", b"HTTP/1.1 503 No\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n"),
            ("wait", 1.9),
            ("wait", 1.2),
            ("u1", OK),
        ],
    ),
    "no retry left over": (
        on(forward(TWICE), clusters=(cluster(limits=Limits(max_retries=0)),)),
        [("client", GET), ("accept",), ("u1", BAD)],
    ),
    "retriable": (
        on(
            forward(
                RetryPolicy(
                    frozenset({"retriable-status-codes", "retriable-headers"}),
                    status_codes=frozenset({418}),
                    headers=(HeaderMatcher(b"x-again"),),
                    avoid_previous_hosts=True,
                )
            )
        ),
        [
            ("client", GET),
            ("accept",),
            ("u1", b"HTTP/1.1 200 OK\r\nx-again: 1\r\ncontent-length: 0\r\n\r\n"),
            ("wait", 1.0),
            ("u1", OK),
        ],
    ),
    "client wishes": (
        on(forward(), **INTERNAL),
        [
            (
                "client",
                asking(
                    b"x-envoy-retry-on: 5xx",
                    b"x-envoy-max-retries: 1",
                    b"x-envoy-upstream-rq-timeout-ms: 3000",
                    b"x-envoy-upstream-rq-per-try-timeout-ms: 1000",
                    b"x-envoy-upstream-rq-timeout-alt-response: 1",
                ),
            ),
            ("accept",),
            ("wait", 1.1),
            ("wait", 0.5),
            ("accept",),
            ("wait", 2.0),
        ],
    ),
    "time per try": (
        on(
            routes=host(
                Route(ANY, Forward(UP, retry=replace(ONCE, per_try_timeout=1.0))), include_is_timeout_retry=True
            )
        ),
        [("client", GET), ("accept",), ("wait", 1.1), ("wait", 0.5), ("accept",), ("wait", 1.1)],
    ),
    "idle per try": (
        on(forward(replace(ONCE, per_try_idle_timeout=1.0))),
        [
            ("client", GET),
            ("accept",),
            ("wait", 1.1),
            ("wait", 0.5),
            ("accept",),
            ("u2", PART),
            ("wait", 0.9),
            ("u2", b"o"),
            ("wait", 1.1),
        ],
    ),
    "time of the route": (
        on(forward(timeout=2.0)),
        [
            ("client", GET),
            ("accept",),
            ("wait", 2.1),
            ("client", GET),
            ("accept",),
            ("u2", PART),
            ("wait", 2.1),
            ("client", GET),
            ("wait", 2.1),
        ],
    ),
    "idle streams": (
        on(forward(timeout=0.0, idle_timeout=1.0)),
        [
            ("client", GET),
            ("accept",),
            ("wait", 1.2),
            ("client", POST + b"ab"),
            ("accept",),
            ("wait", 1.2),
            ("client", GET),
            ("accept",),
            ("u3", PART),
            ("wait", 1.2),
        ],
    ),
    "slow request": (
        on(forward(), request_timeout=1.0),
        [
            ("client", POST + b"ab"),
            ("accept",),
            ("wait", 1.1),
            ("client", POST + b"ab"),
            ("accept",),
            ("u2", PART),
            ("wait", 1.1),
            ("c2", b"cd"),
            ("u2", b"ok"),
        ],
    ),
    "limits": (
        on(forward(TWICE), clusters=(cluster(limits=Limits(max_pending=1, max_connections=1)),)),
        [("client", GET), ("client", GET), ("client", GET), ("accept",), ("u1", OK)],
    ),
    "requests at once": (
        on(forward(TWICE), clusters=(cluster(limits=Limits(max_requests=1)),)),
        [("client", GET), ("accept",), ("client", GET), ("u1", OK)],
    ),
    "no host": (on(forward(TWICE), clusters=(cluster(assignment=assignment()),)), [("client", GET)]),
    "no route": (
        on(Route(RouteMatch(PathMatch.PATH, "/a"), DirectResponse(200))),
        [("client", GET), ("client", CONNECT)],
    ),
    "no cluster": (
        on(forward(cluster_not_found_code=500), clusters=(copies(),)),
        [("client", GET), ("client", UPGRADE)],
    ),
    "direct": (
        on(
            routes=host(
                Route(RouteMatch(PathMatch.PATH, "/bad"), DirectResponse(400, b"bad")),
                Route(RouteMatch(PathMatch.PATH, "/to"), Redirect(code=303, path="/y")),
                Route(ANY, DirectResponse(200, b"body"), name="d", response_ops=HeaderOps((HeaderAdd(b"x-r", "1"),))),
            )
        ),
        [
            ("client", GET),
            ("c1", asking(method=b"HEAD")),
            ("c1", GRPC + b"\r\n"),
            ("c1", asking(path=b"/to")),
            ("c1", asking(path=b"/bad")),
        ],
    ),
    "grpc": (on(forward(), clusters=(cluster(assignment=assignment()),)), [("client", GRPC + b"\r\n")]),
    "grpc time": (
        on(forward(max_grpc_timeout=5.0, grpc_timeout_offset=0.5)),
        [("client", GRPC + b"grpc-timeout: 2S\r\n\r\n"), ("accept",), ("wait", 1.6)],
    ),
    "client leaves": (
        on(forward()),
        [
            ("client", GET),
            ("c1", "resets"),
            ("accept",),
            ("client", GET),
            ("c2", "ends"),
            ("client", GET),
            ("accept",),
            ("u2", PART),
            ("c3", "resets"),
        ],
    ),
    "upstream cuts": (
        on(forward()),
        [
            ("client", GET),
            ("accept",),
            ("u1", PART),
            ("u1", "resets"),
            ("client", GET),
            ("accept",),
            ("u2", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
        ],
    ),
    "resent": (
        on(forward(), clusters=(cluster(resend=Resend.IDEMPOTENT),)),
        [
            ("client", GET),
            ("accept",),
            ("u1", OK),
            ("c1", GET),
            ("u1", "resets"),
            ("accept",),
            ("u2", OK),
            ("c1", POST + b"abcd"),
            ("u2", "resets"),
        ],
    ),
    "flow": (
        on(forward()),
        [
            ("client", GET),
            ("accept",),
            ("c1", "stops_reading"),
            ("u1", b"HTTP/1.1 200 OK\r\ncontent-length: 80000\r\n\r\n" + b"x" * 70000),
            ("c1", "goes_on_reading"),
            ("u1", b"x" * 10000),
            ("c1", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 80000\r\n\r\n"),
            ("u1", "stops_reading"),
            ("c1", b"y" * 70000),
            ("u1", "goes_on_reading"),
            ("c1", b"y" * 10000),
            ("u1", OK),
        ],
    ),
    "kept for retry": (
        on(forward(TWICE), limit=6),
        [
            ("client", POST + b"abcd"),
            ("accept",),
            ("u1", "resets"),
            ("wait", 1.0),
            ("accept",),
            ("u2", OK),
            ("c1", POST.replace(b"4", b"8") + b"abcdefgh"),
            ("u2", "resets"),
        ],
    ),
    "upgrade": (
        TUNNELS,
        [("client", UPGRADE + b"hi"), ("accept",), ("u1", SWITCH + b"there"), ("c1", b"more"), ("u1", "ends")],
    ),
    "upgrade refused": (TUNNELS, [("client", UPGRADE), ("accept",), ("u1", OK)]),
    "upgrade failed": (TUNNELS, [("client", UPGRADE), ("accept",), ("u1", BAD)]),
    "upgrade not allowed": (
        on(forward()),
        [("client", UPGRADE), ("client", UPGRADE.replace(b"websocket", b"h2c")), ("accept",), ("u1", OK)],
    ),
    "upgrade idle": (
        TUNNELS,
        [("client", UPGRADE), ("accept",), ("u1", SWITCH), ("wait", 9.0), ("c1", b"x"), ("wait", 9.0), ("wait", 1.5)],
    ),
    "connect": (TUNNELS, [("client", CONNECT), ("accept",), ("c1", b"hello"), ("u1", b"welcome"), ("u1", "ends")]),
    "connect reset": (TUNNELS, [("client", CONNECT), ("accept",), ("u1", "resets")]),
    "connect left": (TUNNELS, [("client", CONNECT), ("accept",), ("c1", "resets")]),
    "connect refused": (TUNNELS, [("client", CONNECT), ("refuse",)]),
    "switching unasked": (on(forward()), [("client", GET), ("accept",), ("u1", SWITCH)]),
    "interim": (
        on(forward(), proxies_continue=True),
        [
            ("client", asking(b"expect: 100-continue", b"content-length: 2", method=b"POST")),
            ("accept",),
            ("u1", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"),
            ("c1", b"ab"),
            ("u1", OK),
        ],
    ),
    "hedged, the first": (HEDGED, [("client", GET), ("accept",), ("wait", 1.5), ("accept",), ("u1", OK)]),
    "hedged, the second": (HEDGED, [("client", GET), ("accept",), ("wait", 1.5), ("accept",), ("u2", OK)]),
    "hedged, bad ones": (
        HEDGED,
        [
            ("client", GET),
            ("accept",),
            ("wait", 1.5),
            ("accept",),
            ("u1", BAD),
            ("u2", BAD),
            ("wait", 1.0),
            ("u2", BAD),
        ],
    ),
    "hedged, bad in the other order": (
        HEDGED,
        [("client", GET), ("accept",), ("wait", 1.5), ("accept",), ("u2", BAD), ("u1", BAD), ("wait", 1.0)],
    ),
    "hedged, resets": (
        HEDGED,
        [
            ("client", GET),
            ("accept",),
            ("wait", 1.5),
            ("accept",),
            ("u1", "resets"),
            ("u2", "resets"),
            ("wait", 1.0),
            ("accept",),
            ("u3", OK),
        ],
    ),
    "hedged, late reset": (
        HEDGED,
        [
            ("client", GET),
            ("accept",),
            ("wait", 1.5),
            ("accept",),
            ("wait", 1.5),
            ("accept",),
            ("u3", "resets"),
            ("u2", b"x\r\n\r\n"),
            ("u1", "resets"),
        ],
    ),
    "hedged, too late": (
        on(forward(replace(TWICE, per_try_timeout=1.0), hedges=True, timeout=3.0)),
        [("client", GET), ("accept",), ("wait", 1.5), ("accept",), ("wait", 2.0)],
    ),
    "hedged by wish": (
        on(forward(replace(ONCE, per_try_timeout=1.0)), **INTERNAL),
        [
            ("client", asking(b"x-envoy-hedge-on-per-try-timeout: true")),
            ("accept",),
            ("wait", 1.5),
            ("accept",),
            ("c1", "resets"),
        ],
    ),
    "mirrored": (
        MIRRORED,
        [("client", POST + b"ab"), ("accept",), ("accept",), ("c1", b"cd"), ("u1", OK), ("u2", BAD)],
    ),
    "mirror fails": (
        MIRRORED,
        [("client", GET), ("accept",), ("refuse",), ("u1", OK), ("c1", GET), ("accept",), ("u2", "resets"), ("u1", OK)],
    ),
    "mirror is late": (
        on(forward(mirrors=(Mirror("copies"),), timeout=2.0), clusters=(cluster(), copies())),
        [("client", GET), ("accept",), ("accept",), ("u1", OK), ("wait", 2.1)],
    ),
    "mirror of an unfinished request": (
        MIRRORED,
        [("client", POST + b"ab"), ("accept",), ("accept",), ("u1", OK), ("c1", "resets")],
    ),
    "mirror is slow": (
        MIRRORED,
        [
            ("client", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 80000\r\n\r\n"),
            ("accept",),
            ("accept",),
            ("u2", "stops_reading"),
            ("c1", b"y" * 70000),
            ("u2", "goes_on_reading"),
            ("c1", b"y" * 10000),
        ],
    ),
    "redirected": (REDIRECTS, [("client", POST + b"abcd"), ("accept",), ("u1", TO), ("u1", OK)]),
    "redirected by see other": (
        REDIRECTS,
        [("client", POST + b"abcd"), ("accept",), ("u1", TO.replace(b"302 Found", b"303 See")), ("u1", OK)],
    ),
    "redirected twice": (REDIRECTS, [("client", GET), ("accept",), ("u1", TO), ("u1", TO)]),
    "redirects that stay": (
        REDIRECTS,
        [
            ("client", GET),
            ("accept",),
            ("u1", TO.replace(b"http://b/there?x", b"/there")),
            ("c1", GET),
            ("u1", TO.replace(b"http:", b"https:")),
            ("c1", GET),
            ("u1", TO.replace(b"302", b"307")),
            ("c1", POST),
            ("u1", TO),
        ],
    ),
    "lasts too long": (
        on(forward(), max_stream_duration=2.0),
        [
            ("client", GET),
            ("accept",),
            ("wait", 2.1),
            ("client", POST + b"ab"),
            ("accept",),
            ("wait", 2.1),
            ("client", GET),
            ("accept",),
            ("u3", PART),
            ("wait", 2.1),
        ],
    ),
    "lasts too long for the route": (
        on(forward(duration=StreamDuration(whole=1.0, grpc_max=3.0))),
        [
            ("client", GET),
            ("accept",),
            ("wait", 1.1),
            ("client", GRPC + b"grpc-timeout: 2S\r\n\r\n"),
            ("accept",),
            ("wait", 2.1),
        ],
    ),
    "attempt lasts too long": (
        on(forward(ONCE), clusters=(cluster(max_stream_duration=1.0, outlier=DETECTS),)),
        [
            ("client", GET),
            ("accept",),
            ("wait", 1.1),
            ("wait", 0.5),
            ("accept",),
            ("wait", 1.1),
            ("client", POST + b"ab"),
            ("accept",),
            ("u3", PART),
            ("wait", 1.1),
        ],
    ),
    "attempt lasts as long as wished": (
        on(forward(), **INTERNAL),
        [("client", asking(b"x-envoy-upstream-stream-duration-ms: 500")), ("accept",), ("wait", 0.6)],
    ),
    "compressed": (
        on(
            forward(),
            filters=(HttpFilter("gzip", Compressor("gzip", min_length=1, content_types=frozenset({b"text/plain"}))),),
        ),
        [
            ("client", asking(b"accept-encoding: gzip")),
            ("accept",),
            ("u1", b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nokok"),
            ("c1", asking(b"accept-encoding: gzip", method=b"HEAD")),
            ("u1", b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\n"),
        ],
    ),
    "at a rate": (
        on(forward(), filters=(HttpFilter("fault", FaultConfig(rate_kbps=1, rate_chance=MILLION)),), limit=1000),
        [
            ("client", GET),
            ("accept",),
            ("u1", b"HTTP/1.1 200 OK\r\ncontent-length: 2048\r\n\r\n" + b"x" * 1500),
            ("wait", 1.0),
            ("u1", b"x" * 548),
            ("wait", 2.0),
        ],
    ),
    "delayed and aborted": (
        on(
            forward(),
            filters=(
                HttpFilter(
                    "fault", FaultConfig(delay=1.0, delay_chance=MILLION, abort_status=418, abort_chance=MILLION)
                ),
            ),
        ),
        [("client", GET), ("wait", 1.1)],
    ),
    "delayed": (
        on(forward(), filters=(HttpFilter("fault", FaultConfig(delay=1.0, delay_chance=MILLION)),)),
        [("client", POST + b"ab"), ("c1", b"cd"), ("wait", 1.1), ("accept",), ("u1", OK)],
    ),
    "breaker": (
        on(forward(ONCE), clusters=(cluster(circuit_breaker=CircuitBreaker(consecutive_failures=2, open_time=5.0)),)),
        [
            ("client", GET),
            ("accept",),
            ("u1", BAD),
            ("wait", 1.0),
            ("u1", BAD),
            ("c1", GET),
            ("wait", 5.0),
            ("c1", GET),
            ("u1", OK),
            ("c1", GET),
            ("u1", OK),
        ],
    ),
    "breaker and time": (
        on(
            forward(timeout=1.0),
            clusters=(cluster(circuit_breaker=CircuitBreaker(consecutive_failures=1, open_time=5.0)),),
        ),
        [("client", GET), ("accept",), ("wait", 1.1), ("client", GET)],
    ),
    "breaker and resets": (
        on(forward(), clusters=(cluster(circuit_breaker=CircuitBreaker(consecutive_failures=1, open_time=5.0)),)),
        [
            ("client", GET),
            ("accept",),
            ("u1", "resets"),
            ("client", GET),
            ("wait", 5.0),
            ("client", GET),
            ("refuse",),
            ("wait", 5.0),
            ("client", GET),
            ("c4", "resets"),
            ("client", GET),
            ("accept",),
            ("u2", OK),
        ],
    ),
    "observed": (
        on(forward(ONCE), access_logs=(LIVE,), log_starts=True, log_interval=1.0, log_tunnels=True),
        [
            ("client", POST + b"ab"),
            ("wait", 0.25),
            ("accept",),
            ("wait", 0.25),
            ("c1", b"cd"),
            ("wait", 0.25),
            ("u1", PART),
            ("wait", 0.5),
            ("u1", b"ok"),
            ("wait", 1.1),
        ],
    ),
    "observed tunnel": (
        on(
            Route(ANY, Forward(UP)),
            access_logs=(LIVE,),
            log_starts=True,
            log_tunnels=True,
            upgrades=frozenset({"websocket"}),
        ),
        [
            ("client", UPGRADE),
            ("accept",),
            ("wait", 0.5),
            ("u1", SWITCH),
            ("c1", b"x"),
            ("u1", b"y"),
            ("wait", 0.5),
            ("u1", "ends"),
        ],
    ),
    "observed redirect": (
        on(forward(redirects=InternalRedirects()), access_logs=(LIVE,), log_interval=1.0, log_starts=True),
        [("client", POST + b"abcd"), ("accept",), ("wait", 0.5), ("u1", TO), ("wait", 0.25), ("u1", OK), ("wait", 1.1)],
    ),
    "attempts are told in replies of our own": (
        on(routes=host(forward(ONCE), include_attempt_count_in_response=True)),
        [("client", GET), ("refuse",), ("wait", 1.0), ("refuse",), ("client", GET), ("accept",), ("u1", "resets")],
    ),
    "buffered": (
        on(forward(), filters=(HttpFilter("buffer", BufferBody(8)),)),
        [
            ("client", CHUNKED + b"4\r\nbody\r\n"),
            ("c1", b"0\r\n\r\n"),
            ("accept",),
            ("u1", OK),
            ("client", CHUNKED + b"9\r\ntoo large\r\n"),
        ],
    ),
    "a client wishes a time": (
        on(forward(), **INTERNAL),
        [("client", asking(b"x-envoy-upstream-rq-timeout-ms: 3000")), ("accept",), ("wait", 2.9), ("wait", 0.2)],
    ),
    "mirrored from a delay on": (
        on(
            forward(mirrors=(Mirror("copies"),)),
            clusters=(cluster(), copies()),
            filters=(HttpFilter("fault", FaultConfig(delay=1.0, delay_chance=MILLION)),),
        ),
        [("client", POST + b"ab"), ("c1", b"c"), ("wait", 1.1), ("accept",), ("accept",), ("c1", b"d"), ("u1", OK)],
    ),
    "violations": (on(forward()), [("client", b"nonsense\r\n\r\n"), ("client", CHUNKED + b"zz\r\n"), ("accept",)]),
}


async def told(name: str, loop: ManualLoop) -> list[dict[str, Any]]:
    make, steps = CONVERSATIONS[name]
    return await written(lambda: make(loop), steps)


def file_of(name: str) -> Path:
    return FOLDER / f"{name.replace(', ', '-').replace(' ', '-')}.yaml"


@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_a_conversation_goes_as_it_is_written_down(name: str, loop: ManualLoop) -> None:
    expected = yaml.load(file_of(name).read_text(encoding="utf-8"), yaml.CSafeLoader)
    assert await told(name, loop) == expected


def test_nothing_else_is_written_down() -> None:
    assert {file_of(name) for name in CONVERSATIONS} == set(FOLDER.iterdir())


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in CONVERSATIONS:
        with pytest.MonkeyPatch.context() as patch, manual_clock(patch) as loop:
            steps = asyncio.run(told(name, loop))
        text = yaml.dump(steps, Dumper=yaml.CSafeDumper, sort_keys=False, width=120, allow_unicode=True)
        file_of(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
