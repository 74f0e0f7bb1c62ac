"""Why some of what is refused is refused, and what to use instead: for people who have just been told so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ZERO_TRUST: Final = "arrives with zero trust"
_OTLP_ONLY: Final = "spans go out by OpenTelemetry's protocol: use opentelemetry, and a collector that translates"
_FILES_ONLY: Final = "access logs go to files: use envoyFileAccessLog, and a collector that reads them"

# By message, as in `refused.REFUSED`, and the rows there.
WHY: Final[Mapping[str, Mapping[str, str]]] = {
    "ExtensionProvider": {
        "datadog": _OTLP_ONLY,
        "envoyExtAuthzGrpc": _ZERO_TRUST,
        "envoyExtAuthzHttp": _ZERO_TRUST,
        "envoyHttpAls": _FILES_ONLY,
        "envoyOtelAls": _FILES_ONLY,
        "envoyTcpAls": _FILES_ONLY,
        "lightstep": _OTLP_ONLY,
        "opencensus": _OTLP_ONLY,
        "sds": _ZERO_TRUST,
        "skywalking": _OTLP_ONLY,
        "stackdriver": _OTLP_ONLY,
        "zipkin": _OTLP_ONLY,
    },
    "OpenTelemetryTracingProvider": {
        "dynatraceSampler": "whether a request is traced is decided by the percentage of its sampling",
        "resourceDetectors": "a span's resource is what the proxy's node says of itself",
        "serviceAttributeEnrichment=OTEL_SEMANTIC_CONVENTIONS": "a span's service is named as Istio names it",
    },
    "MetricSelector": {"customMetric": "Envoy's statistics are there as they are; only Istio's metrics can be changed"},
    "Tracing": {
        "disableContextPropagation": "a route's headers.request.remove takes traceparent away from what leaves the mesh"
    },
    "ProxyHeaders": {
        "forwardedClientCert": _ZERO_TRUST,
        "setCurrentClientCertDetails": _ZERO_TRUST,
        "metadataExchangeHeaders": "metrics on both sides are named by these headers",
    },
    "HttpService": {"headers": "the exporter adds none: let a collector beside the mesh add what a service wants"},
    "Port": {
        "targetPort": "it has no effect on a Gateway, in Istio either: the Service in front of it says where it listens"
    },
    "SidecarPort": {"targetPort": "it has no effect on a Sidecar, in Istio either: leave it out"},
    "ServiceSpec": {"internalTrafficPolicy=Local": "nobody knows here which nodes endpoints are on"},
    "GrpcService": {
        "initialMetadata": "the exporter adds none: let a collector beside the mesh add what a service wants"
    },
}


def reason(message: str, row: str) -> str:
    """Why a row of a message is refused; empty where there is no more to say than that it is."""
    return WHY.get(message, {}).get(row, "")
