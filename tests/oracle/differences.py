"""Where ours is meant to differ from Envoy, and why. Each is asserted to be still different: the list stays true."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """`paths` are exactly the paths of `observe` that differ in the case."""

    case: str
    paths: tuple[str, ...]
    reason: str


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "retry_on_another_connection",
        ("upstream[1].connection",),
        "a complete response that is retried leaves its connection usable, and ours is used again; Envoy resets the "
        "stream, and with HTTP/1.1 so the connection, before it has seen the response's end",
    ),
    Difference(
        "log_of_forwarded_client",
        ("log[0].remote_host",),
        "not done yet: %DOWNSTREAM_REMOTE_ADDRESS% is the peer's with us; with Envoy the client's of x-forwarded-for",
    ),
    Difference(
        "tcp_connect_refused",
        ("log[0].flags",),
        "Envoy prints response flags in the order in which they were set, ours in one order: URX,UF for TCP as for HTTP",
    ),
    Difference(
        "response_status_of_four",
        (
            "client[0].body",
            "client[0].header.content-length",
            "client[0].header.content-type",
            "client[0].header.x-envoy-upstream-service-time",
            "client[0].reason",
            "client[0].status",
            "log[0].bytes_sent",
            "log[0].code",
            "log[0].details",
            "log[0].flags",
        ),
        "a status code has three digits (RFC 9112 4); Envoy passes 2000 on, ours calls it a protocol error",
    ),
    Difference(
        "chunk_overrun",
        (
            "client.end",
            "client[0].body",
            "client[0].header.connection",
            "client[0].header.content-length",
            "client[0].header.content-type",
            "client[0].header.x-envoy-upstream-service-time",
            "client[0].reason",
            "client[0].status",
            "log[0].bytes_sent",
            "log[0].code",
            "log[0].details",
            "log[0].flags",
            "upstream.count",
            "upstream[0].body",
            "upstream[0].complete",
            "upstream[0].connection",
            "upstream[0].framing",
            "upstream[0].header.host",
            "upstream[0].header.transfer-encoding",
            "upstream[0].header.x-envoy-expected-rq-timeout-ms",
            "upstream[0].header.x-forwarded-proto",
            "upstream[0].header.x-request-id",
            "upstream[0].line",
            "upstream[0].trailers",
            "upstream[0].tunnel",
        ),
        "bytes between a chunk and its line end are skipped by Envoy; two readers of one stream that skip differently "
        "are how requests are smuggled, so ours refuses (RFC 9112 has no such bytes)",
    ),
)
BY_CASE = {difference.case: difference for difference in DIFFERENCES}
