"""`health_checks` of a cluster → HealthCheck."""

from __future__ import annotations

from typing import Final

from sidecar.config.common import header_ops, headers_to_add
from sidecar.config.model import GrpcProbe, HeaderOps, HealthCheck, HttpProbe, TcpProbe
from sidecar.config.reader import Reader

_NO_TRAFFIC: Final = 60.0
_BODY: Final = 1024
_WITHOUT_BODY: Final = ("GET", "HEAD", "DELETE", "TRACE")


def health_check(cluster: Reader, *, http2: bool) -> HealthCheck | None:
    """The cluster's health check; Envoy allows one, and gRPC's only where the hosts speak HTTP/2."""
    readers = cluster.children("health_checks")
    compiled = [_health_check(reader) for reader in readers]
    for reader, found in zip(readers, compiled, strict=True):
        if isinstance(found.probe, GrpcProbe) and not http2:
            reader.problem("needs a cluster whose hosts speak HTTP/2 (http2_protocol_options)", "grpc_health_check")
    if len(compiled) > 1:
        cluster.problem("a cluster has one health check at most", "health_checks")
    return compiled[0] if compiled else None


def _health_check(reader: Reader) -> HealthCheck:
    probe = _probe(reader)
    interval = reader.seconds("interval")
    no_traffic = reader.seconds("no_traffic_interval", _NO_TRAFFIC)
    unhealthy = reader.seconds("unhealthy_interval", interval)
    return HealthCheck(
        timeout=reader.seconds("timeout"),
        interval=interval,
        unhealthy_threshold=reader.number("unhealthy_threshold"),
        healthy_threshold=reader.number("healthy_threshold"),
        initial_jitter=reader.seconds("initial_jitter"),
        interval_jitter=reader.seconds("interval_jitter"),
        interval_jitter_percent=reader.number("interval_jitter_percent"),
        no_traffic_interval=no_traffic,
        no_traffic_healthy_interval=reader.seconds("no_traffic_healthy_interval", no_traffic),
        unhealthy_interval=unhealthy,
        unhealthy_edge_interval=reader.seconds("unhealthy_edge_interval", unhealthy),
        healthy_edge_interval=reader.seconds("healthy_edge_interval", interval),
        reuse_connection=reader.flag("reuse_connection", True),
        probe=probe,
    )


def _probe(reader: Reader) -> HttpProbe | TcpProbe | GrpcProbe:
    if (http := reader.child("http_health_check")) is not None:
        return _http(http)
    if (grpc := reader.child("grpc_health_check")) is not None:
        metadata = _constant(grpc, headers_to_add(grpc, "initial_metadata"), "initial_metadata")
        return GrpcProbe(grpc.text("service_name"), grpc.text("authority"), metadata)
    return _tcp(reader.child("tcp_health_check"))


def _constant(reader: Reader, ops: HeaderOps, field: str) -> HeaderOps:
    if any("%" in header.value for header in ops.add):
        reader.problem("format commands are not implemented in a health check's headers", field)
    return ops


def _http(reader: Reader) -> HttpProbe:
    codec = reader.word("codec_client_type", "HTTP1", "HTTP2")
    ops = _constant(reader, header_ops(reader, "request"), "request_headers_to_add")
    method = reader.enum("method")
    method = "GET" if method == "METHOD_UNSPECIFIED" else method
    send = _payload(reader.child("send"))
    if send and method in _WITHOUT_BODY:
        reader.problem(f"a {method} request has no body", "send")
    receive = tuple(_payload(each) for each in reader.children("receive"))
    limit = reader.number("response_buffer_size", _BODY)
    if limit and sum(map(len, receive)) > limit:
        reader.problem(f"is longer than response_buffer_size, which is {limit}", "receive")
    return HttpProbe(
        path=reader.text("path"),
        host=reader.text("host"),
        method=method,
        headers=ops,
        expected=_statuses(reader, "expected_statuses") or ((200, 201),),
        retriable=_statuses(reader, "retriable_statuses"),
        send=send,
        receive=receive,
        body_limit=limit,
        http2=codec == "HTTP2",
    )


def _tcp(reader: Reader | None) -> TcpProbe:
    if reader is None:
        return TcpProbe()
    return TcpProbe(_payload(reader.child("send")), tuple(_payload(each) for each in reader.children("receive")))


def _payload(reader: Reader | None) -> bytes:
    """A Payload: hexadecimal text, or bytes."""
    if reader is None:
        return b""
    text, raw = reader.text("text"), reader.octets("binary")
    try:
        return bytes.fromhex(text) if text else raw
    except ValueError:
        reader.problem(f"{text!r} is not hexadecimal", "text")
        return b""


def _statuses(reader: Reader, field: str) -> tuple[tuple[int, int], ...]:
    """Ranges of status codes, their ends not included."""
    ranges = []
    for each in reader.children(field):
        start, end = each.number("start"), each.number("end")
        if not 100 <= start < end <= 600:
            each.problem(f"{start} to {end} is no range within 100 to 600")
        ranges.append((start, end))
    return tuple(ranges)
