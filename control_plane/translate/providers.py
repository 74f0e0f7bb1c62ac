"""Extension providers → where logs and spans go. Names are the same in upper and lower case, as Istio has it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from control_plane.world import AccessLogEncoding, Collector, FileLog, MeshConfig, Metered, Provider
from mesh.istio.extension_providers import DefaultProviders, ExtensionProvider

# Istio's names for the log that a proxy writes itself, and for the metrics that it always has.
BUILT_IN_LOG: Final = "envoy"
BUILT_IN_METRICS: Final = "prometheus"
_STDOUT: Final = "/dev/stdout"


def provider_of(mesh: MeshConfig, name: str) -> Provider | None:
    """The provider of a name, None where nobody knows it."""
    name = name.lower()
    if (found := mesh.providers.get(name)) is not None:
        return found
    if name == BUILT_IN_METRICS:
        return Metered()
    return _usual_log(mesh, mesh.access_log_file or _STDOUT) if name == BUILT_IN_LOG else None


def file_log(mesh: MeshConfig, name: str) -> FileLog | None:
    """The log of a provider, None of one that takes none."""
    found = provider_of(mesh, name)
    return found if isinstance(found, FileLog) else None


def file_logs(mesh: MeshConfig) -> tuple[FileLog, ...]:
    """The access logs that hold: those of providers, or else the one of `access_log_file`."""
    if mesh.logs is not None:
        return mesh.logs
    return (_usual_log(mesh, mesh.access_log_file),) if mesh.access_log_file else ()


def _usual_log(mesh: MeshConfig, path: str) -> FileLog:
    """In the format of the whole mesh."""
    said = mesh.access_log_format
    if mesh.access_log_encoding is AccessLogEncoding.JSON:
        return FileLog(path, labels=json_members(said) or {})
    return FileLog(path, said)


def json_members(text: str) -> Mapping[str, Any] | None:
    """The members of the JSON object that a format is, None of one for lines of text."""
    try:
        members = json.loads(text)
    except ValueError:
        return None
    return members if isinstance(members, dict) else None


def with_providers(
    mesh: MeshConfig, providers: Iterable[ExtensionProvider], defaults: DefaultProviders | None
) -> MeshConfig:
    """The settings of a mesh with these providers, and with what is used where no Telemetry says otherwise."""
    mesh = replace(mesh, providers={each.name.lower(): _provider(mesh, each) for each in providers})
    if defaults is None:
        return mesh
    if defaults.access_logging:
        logs = tuple(log for name in defaults.access_logging if (log := file_log(mesh, name)) is not None)
        mesh = replace(mesh, default_logs=defaults.access_logging, logs=logs)
    if defaults.tracing and isinstance(collector := provider_of(mesh, defaults.tracing[0]), Collector):
        mesh = replace(mesh, collector=collector)
    return mesh


def _provider(mesh: MeshConfig, said: ExtensionProvider) -> Provider:
    if (log := said.envoy_file_access_log) is not None:
        form = log.log_format
        if form is None and said.name.lower() == BUILT_IN_LOG and not log.omit_empty_values:
            return _usual_log(mesh, log.path)
        text, labels = (form.text or "", form.labels) if form is not None else ("", None)
        return FileLog(log.path, text, labels, log.omit_empty_values)
    if (otlp := said.opentelemetry) is not None:
        path = otlp.http.path if otlp.http is not None else ""
        timeout = next((each.timeout for each in (otlp.http, otlp.grpc) if each is not None and each.timeout), None)
        more: dict[str, Any] = {"timeout": timeout} if timeout is not None else {}
        return Collector(otlp.host, otlp.port, path, tag_length=otlp.max_tag_length, namespace=otlp.namespace, **more)
    return Metered()
