"""HttpConnectionManager.Tracing → Tracing: sampling, tags, and OpenTelemetry over HTTP or gRPC."""

from __future__ import annotations

from typing import Final

from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig

from mesh.errors import ConfigError
from sidecar.config.common import typed
from sidecar.config.http_model import PATH_TAG_LENGTH
from sidecar.config.model import MILLION, Tracing
from sidecar.config.reader import Reader
from sidecar.telemetry.formatter import compile_format

_OPENTELEMETRY: Final = {OpenTelemetryConfig.DESCRIPTOR.full_name: None}


def tracing(reader: Reader, by_request_id: bool = True) -> Tracing:
    reader.only("spawn_upstream_span", False)
    cluster, uri, service = "", "", ""
    if (provider := reader.child("provider")) is not None:
        _, config = typed(provider, _OPENTELEMETRY, "tracer")
        if config is not None:
            cluster, uri, service = _opentelemetry(config)
    return Tracing(
        client_chance=reader.chance("client_sampling", MILLION),
        random_chance=reader.chance("random_sampling", MILLION),
        overall_chance=reader.chance("overall_sampling", MILLION),
        service_name=service,
        path_tag_length=reader.number("max_path_tag_length", PATH_TAG_LENGTH),
        otlp_cluster=cluster,
        otlp_url=uri,
        by_request_id=by_request_id,
        custom_tags=tuple(tag for each in reader.children("custom_tags") if (tag := _tag(each)) is not None),
    )


def _opentelemetry(reader: Reader) -> tuple[str, str, str]:
    """(cluster, URI, service name)."""
    service = reader.text("service_name")
    http, grpc = reader.child("http_service"), reader.child("grpc_service")
    if grpc is not None:
        if http is not None:
            reader.problem("grpc_service is set, too: one of them", "http_service")
        grpc.seconds("timeout")
        envoy = grpc.child("envoy_grpc")
        return (envoy.text("cluster_name") if envoy is not None else ""), "", service
    if http is None:
        reader.problem("is required, or grpc_service", "http_service")
    target = http.child("http_uri") if http is not None else None
    if target is None:
        return "", "", service
    target.seconds("timeout")
    return target.text("cluster"), target.text("uri"), service


def _tag(reader: Reader) -> tuple[str, str, str, str] | None:
    tag = reader.text("tag")
    kind = reader.one_of("literal", "environment", "request_header", "value")
    if kind == "value":
        return tag, kind, _format(reader), ""
    value = reader.child(kind) if kind else None
    if value is None:
        return None  # another kind, which nobody reads: refused
    if kind == "literal":
        return tag, kind, value.text("value"), ""
    return tag, kind, value.text("name"), value.text("default_value")


def _format(reader: Reader) -> str:
    text = reader.text("value")
    try:
        compile_format(text)
    except ConfigError as error:
        for problem in error.problems:
            reader.problem(problem.message, "value")
    return text
