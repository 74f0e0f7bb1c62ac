"""What a gRPC call's span says: ours and a real Envoy's, of the same calls, read by an OpenTelemetry collector."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.harness.h2_upstream import AwaitBody, H2Upstream, Pause, Plan, ResetStream, grpc_reply, reply, trailers_only
from tests.harness.h2_wire import H2Client, grpc_fields
from tests.harness.ports import free_port
from tests.harness.upstream import Received, Upstream
from tests.integration.http2.proxies import TYPE, Proxy, address

SCRIPT: Sequence[Plan] = (
    grpc_reply(),
    *(grpc_reply(code, text=f"status {code}") for code in range(1, 17)),
    trailers_only(14, "down"),
    trailers_only(5, "none"),
    reply(503, b"down"),
    [AwaitBody(), ResetStream(2)],
    [AwaitBody(), Pause(1.0), *grpc_reply()[1:]],
)
PLAIN = "/plain"


def tracing(collector: int) -> dict[str, Any]:
    uri = {"uri": f"http://127.0.0.1:{collector}/v1/traces", "cluster": "collector", "timeout": "1s"}
    provider = {
        "name": "envoy.tracers.opentelemetry",
        "typed_config": {
            "@type": TYPE + "envoy.config.trace.v3.OpenTelemetryConfig",
            "http_service": {"http_uri": uri},
            "service_name": "p",
        },
    }
    return {"tracing": {"provider": provider}}


def collected(received: Sequence[Received]) -> dict[str, dict[str, Any]]:
    """Span by path: its gRPC attributes, and whether it tells an error."""
    found: dict[str, dict[str, Any]] = {}
    for request in received:
        if "json" in (request.header("content-type") or ""):
            resources = json.loads(request.body)["resourceSpans"]
            sent = [span for each in resources for scope in each["scopeSpans"] for span in scope["spans"]]
            spans = [{a["key"]: next(iter(a["value"].values())) for a in span["attributes"]} for span in sent]
        else:  # the field was called so before it was called scope_spans
            message = ExportTraceServiceRequest.FromString(request.body)
            scopes = [scope for each in message.resource_spans for scope in each.instrumentation_library_spans]
            said = [span.attributes for scope in scopes for span in scope.spans]
            spans = [{a.key: a.value.string_value or a.value.bool_value for a in each} for each in said]
        for attributes in spans:
            path = urlsplit(attributes["http.url"]).path.removeprefix("/")
            told = {key: str(value) for key, value in attributes.items() if key.startswith("grpc.")}
            found[path] = {**told, "error": str(attributes.get("error", "")).lower()}
    return found


async def _spans(kind: str, folder: Path) -> dict[str, dict[str, Any]]:
    async with Upstream(free_port()) as collector, H2Upstream(free_port()) as upstream:
        upstream.reset(SCRIPT)
        clusters = {
            "name": "collector",
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": "collector",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(collector.port)}}]}],
            },
        }
        route = {"max_stream_duration": {"grpc_timeout_header_max": "0s"}}
        proxy = await asyncio.to_thread(
            Proxy, kind, folder, upstream.port, hcm=tracing(collector.port), route=route, clusters=(clusters,)
        )
        try:
            async with H2Client(proxy.port) as client:
                for number in range(len(SCRIPT)):
                    stream = 2 * number + 1
                    fields = grpc_fields(f"/pkg.S/{number}", f"a:{number + 1}", ("grpc-timeout", "300m"))
                    client.headers(stream, fields, end=False)
                    client.data(stream, b"\0\0\0\0\0", end=True)
                    await client.until_over(stream)
                upstream.reset()
                await client.get(PLAIN, stream=2 * len(SCRIPT) + 1)
            deadline = time.monotonic() + 15
            while len(found := collected(collector.requests)) <= len(SCRIPT):
                assert time.monotonic() < deadline, f"{kind}: only {sorted(found)}"
                await asyncio.sleep(0.1)
            return found
        finally:
            await asyncio.to_thread(proxy.stop)


async def test_spans_say_what_envoys_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_SPAN_ATTRIBUTES", "envoy")
    envoy, ours = await asyncio.gather(_spans("envoy", tmp_path / "envoy"), _spans("ours", tmp_path / "ours"))
    assert envoy["pkg.S/14"]["grpc.status_code"] == "14" and envoy["pkg.S/14"]["error"] == "true"
    assert envoy["pkg.S/5"]["grpc.message"] == "status 5" and envoy["pkg.S/5"]["error"] == ""
    assert envoy["pkg.S/0"]["grpc.path"] == "/pkg.S/0"
    assert envoy["plain"] == {"error": ""}
    assert ours == envoy
