"""MeshConfig's `extensionProviders`: where logs, metrics and spans may go, by the names that Telemetry has for it.

https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-ExtensionProvider
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mesh.istio.model import Found, Message, shown
from mesh.istio.scalars import Count, Duration, PortNumber, Rows, Word, wrong


def _service(value: str) -> str:
    """`NAMESPACE/HOST` or `HOST`."""
    namespace, slash, host = value.rpartition("/")
    if not host or (slash and not namespace):
        raise wrong(f"must be HOST or NAMESPACE/HOST, not {shown(value)}")
    return value


def _path(value: str) -> str:
    if not value.startswith("/"):
        raise wrong(f"must begin with /, not {shown(value)}")
    return value


AbsolutePath = Annotated[str, AfterValidator(_path)]


class LogFormat(Message):
    """A text with Envoy's commands in it, or the members of a JSON object."""

    at_most_one = (("text", "labels"),)

    text: str | None = None
    labels: dict[str, Any] | None = None


class EnvoyFileAccessLogProvider(Message):
    path: AbsolutePath = "/dev/stdout"
    log_format: LogFormat | None = None
    omit_empty_values: bool = False


class HttpService(Message):
    path: AbsolutePath
    timeout: Duration | None = None


class GrpcService(Message):
    timeout: Duration | None = None


class ServiceAttributeEnrichment(StrEnum):
    ISTIO_CANONICAL = "ISTIO_CANONICAL"


class OpenTelemetryTracingProvider(Message):
    """A collector that is a service of the mesh, asked over gRPC unless `http` says otherwise."""

    at_most_one = (("http", "grpc"),)

    service: Annotated[str, AfterValidator(_service)]
    port: PortNumber
    max_tag_length: Count = 0
    http: HttpService | None = None
    grpc: GrpcService | None = None
    service_attribute_enrichment: Word[ServiceAttributeEnrichment] | None = None

    @property
    def host(self) -> str:
        return self.service.rpartition("/")[2].lower()

    @property
    def namespace(self) -> str:
        """Where the service has to be; empty where that was left open."""
        return self.service.rpartition("/")[0]


class PrometheusMetricsProvider(Message):
    """The metrics that a proxy has for Prometheus to fetch."""


class ExtensionProvider(Message):
    exactly_one = (("envoyFileAccessLog", "opentelemetry", "prometheus"),)

    name: Annotated[str, Field(min_length=1)]
    envoy_file_access_log: EnvoyFileAccessLogProvider | None = None
    opentelemetry: OpenTelemetryTracingProvider | None = None
    prometheus: PrometheusMetricsProvider | None = None


class DefaultProviders(Message):
    """What is used where no Telemetry resource says otherwise."""

    tracing: Rows[str] = ()
    metrics: Rows[str] = ()
    access_logging: Rows[str] = ()


def named_twice(providers: Iterable[ExtensionProvider]) -> Iterator[Found]:
    seen: set[str] = set()
    for index, each in enumerate(providers):
        if each.name.lower() in seen:
            message = f"{shown(each.name)} is there already (names are the same in upper and lower case)"
            yield Found(("extensionProviders", index, "name"), message)
        seen.add(each.name.lower())


__all__ = ["DefaultProviders", "ExtensionProvider", "named_twice"]
