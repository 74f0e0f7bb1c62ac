"""OTLP on the wire, read by the messages of its own definition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.telemetry.otlp import NotDeliveredError
from sidecar.telemetry.otlp_transport import GrpcTransport, HttpTransport
from tests.harness.ports import free_port
from tests.unit.sidecar.telemetry.test_otlp import request, span


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[int, list[tuple[str, dict[str, str], bytes]]]]:
    received: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"no" * 5000 if status != 200 else b"")

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1], received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_protobuf_over_http() -> None:
    with collector() as (port, received):
        url = f"http://127.0.0.1:{port}/v1/traces"
        HttpTransport(lambda: url, "otel.example:4318").send(
            request(span(), span(parent_id="", kind="CLIENT", error=True))
        )
    ((path, headers, body),) = received
    assert (path, headers["content-type"], headers["host"]) == (
        "/v1/traces",
        "application/x-protobuf",
        "otel.example:4318",
    )
    (group,) = ExportTraceServiceRequest.FromString(body).resource_spans
    resource = {each.key: each.value.string_value for each in group.resource.attributes}
    assert (resource["service.name"], resource["telemetry.sdk.language"]) == ("shop.default", "python")
    child, root = group.instrumentation_library_spans[0].spans
    assert child.trace_id.hex() == span().trace_id and child.span_id.hex() == span().span_id
    assert child.parent_span_id.hex() == span().parent_id and root.parent_span_id == b""
    assert (child.kind, root.kind) == (child.SPAN_KIND_SERVER, child.SPAN_KIND_CLIENT)
    assert (child.start_time_unix_nano, child.end_time_unix_nano) == (1_000, 2_000)
    assert (child.status.code, root.status.code) == (0, child.status.STATUS_CODE_ERROR)
    assert [(each.key, each.value.int_value) for each in child.attributes] == [("http.status_code", 200)]


def test_json_has_ids_in_hex() -> None:
    with collector() as (port, received):
        url = f"http://127.0.0.1:{port}/v1/traces"
        HttpTransport(lambda: url, "a", json_body=True).send(
            request(span(attributes={"a": True, "b": "c", "d": 2**40}))
        )
    ((_, headers, body),) = received
    assert headers["content-type"] == "application/json"
    (found,) = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (found["traceId"], found["spanId"], found["kind"]) == (span().trace_id, span().span_id, 2)
    assert [each["value"] for each in found["attributes"]] == [
        {"boolValue": True},
        {"stringValue": "c"},
        {"intValue": str(2**40)},
    ]


@pytest.mark.parametrize(("status", "again"), [(503, True), (429, True), (400, False), (404, False)])
def test_a_refusal(status: int, again: bool) -> None:
    with collector(status) as (port, _), pytest.raises(NotDeliveredError, match=f"answered {status}") as raised:
        HttpTransport(lambda: f"http://127.0.0.1:{port}", "a").send(request(span()))
    assert raised.value.again is again
    assert len(str(raised.value)) < 400


def test_nobody_there() -> None:
    port = free_port()
    for transport in (
        HttpTransport(lambda: f"http://127.0.0.1:{port}/v1/traces", "a"),
        GrpcTransport(lambda: f"127.0.0.1:{port}"),
        GrpcTransport(lambda: ""),
    ):
        with pytest.raises(NotDeliveredError) as raised:
            transport.send(request(span()))
        assert raised.value.again
        transport.close()


def test_grpc_follows_its_cluster_to_another_host() -> None:
    received: list[str] = []

    def server(name: str) -> tuple[grpc.Server, str]:
        def export(body: bytes, _context: Any) -> bytes:
            made = ExportTraceServiceRequest.FromString(body)
            received.append(f"{name} {made.resource_spans[0].instrumentation_library_spans[0].spans[0].name}")
            return b""

        made = grpc.server(ThreadPoolExecutor(2))
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        handler = grpc.method_handlers_generic_handler(service, {"Export": grpc.unary_unary_rpc_method_handler(export)})
        made.add_generic_rpc_handlers((handler,))
        port = made.add_insecure_port("127.0.0.1:0")
        made.start()
        return made, f"127.0.0.1:{port}"

    (one, first), (two, second) = server("one"), server("two")
    at = [first]
    transport = GrpcTransport(lambda: at[0])
    try:
        transport.send(request(span()))
        at[0] = second
        transport.send(request(span()))
    finally:
        transport.close()
        one.stop(None)
        two.stop(None)
    assert received == ["one reviews:9080/*", "two reviews:9080/*"]
