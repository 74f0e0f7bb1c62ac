"""The ways to a collector: OTLP over HTTP, as protobuf or JSON, and over gRPC.

JSON is made with the messages of `opentelemetry.proto`, which come with Envoy's, from before scopes had that name: on the
wire they are the same fields. Imported by the SDK's thread, when there is a first span to send.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from mesh.version import VERSION
from sidecar.telemetry.otlp import NotDeliveredError

TIMEOUT: Final = 5.0
LONGEST_REASON: Final = 300
METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# What may be taken later, says the specification.
_AGAIN_HTTP: Final = frozenset((429, 502, 503, 504))
_AGAIN_GRPC: Final = frozenset(
    ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS", "RESOURCE_EXHAUSTED")
)


def as_json(request: bytes) -> bytes:
    """OTLP's JSON, which has ids in hex where protobuf's own would be base64."""
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = MessageToDict(ExportTraceServiceRequest.FromString(request), use_integers_for_enums=True)
    for group in made["resourceSpans"]:
        group["scopeSpans"] = group.pop("instrumentationLibrarySpans")
        for scope in group["scopeSpans"]:
            scope["scope"] = scope.pop("instrumentationLibrary")
            for span in scope["spans"]:
                for field in ("traceId", "spanId", "parentSpanId"):
                    if field in span:
                        span[field] = base64.b64decode(span[field]).hex()
    return json.dumps(made).encode()


class HttpTransport:
    """`url` is asked before each batch: where the collector is may change. `host` is for the Host header."""

    def __init__(self, url: Callable[[], str], host: str, *, json_body: bool = False) -> None:
        self._url = url
        self._host = host
        self._json = json_body

    def send(self, request: bytes) -> None:
        body = as_json(request) if self._json else request
        kind = "application/json" if self._json else "application/x-protobuf"
        parts = urlsplit(self._url())
        connection = _connection(parts.scheme, parts.hostname or "", parts.port)
        headers = {"Content-Type": kind, "User-Agent": f"mesh-sidecar/{VERSION}", "Host": self._host}
        try:
            connection.request("POST", parts.path or "/v1/traces", body, headers)
            answer = connection.getresponse()
            said = answer.read(LONGEST_REASON)
        except (OSError, http.client.HTTPException) as error:
            raise NotDeliveredError(f"{parts.netloc}: {error}", again=True) from error
        finally:
            connection.close()
        if answer.status >= 300:
            reason = f"{parts.netloc} answered {answer.status} {said.decode(errors='replace')}".strip()
            raise NotDeliveredError(reason, again=answer.status in _AGAIN_HTTP)

    def close(self) -> None:
        """Nothing stays open between batches."""


def _connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=TIMEOUT)


class GrpcTransport:
    """`target` (HOST:PORT) is asked before each batch."""

    def __init__(self, target: Callable[[], str]) -> None:
        self._target = target
        self._at = ""
        self._channel: Any = None

    def send(self, request: bytes) -> None:
        import grpc

        target = self._target()
        if not target:
            raise NotDeliveredError("the collector's cluster has no host", again=True)
        if target != self._at:
            self.close()
            options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
            self._channel, self._at = grpc.insecure_channel(target, options), target
        try:
            self._channel.unary_unary(METHOD)(request, timeout=TIMEOUT)
        except grpc.RpcError as error:
            reason = f"{target}: {error.code().name}: {error.details()}"[:LONGEST_REASON]
            raise NotDeliveredError(reason, again=error.code().name in _AGAIN_GRPC) from error

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel, self._at = None, ""
