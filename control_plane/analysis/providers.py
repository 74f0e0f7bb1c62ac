"""Extension providers: names that nobody knows or that are of another kind, and services that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from control_plane.analysis.codes import INVALID_PROVIDER, REFERENCED_RESOURCE_NOT_FOUND
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.providers import provider_of
from control_plane.world import Collector, FileLog, MeshConfig, Metered
from mesh.istio.extension_providers import OpenTelemetryTracingProvider
from mesh.istio.model import Path
from mesh.istio.resource import Resource

# What a provider is asked for → what it has to be, and what becomes of it otherwise.
_WANTED: Final = {
    "accessLogging": (FileLog, "no access log", "nothing is logged there"),
    "metrics": (Metered, "no provider of metrics", "what is said of it changes nothing"),
    "tracing": (Collector, "no collector of spans", "spans go to the mesh's own collector"),
}


def of_telemetry(seen: Examined) -> Iterator[Finding]:
    """The providers that Telemetry resources name."""
    for resource in seen.of("Telemetry"):
        spec = resource.spec
        for field, rows in (
            ("accessLogging", spec.access_logging),
            ("metrics", spec.metrics),
            ("tracing", spec.tracing),
        ):
            for number, row in enumerate(rows):
                names = [each.name for each in row.providers]
                yield from _checked(seen.world.mesh, resource, field, ("spec", field, number, "providers"), names)
                if field == "tracing" and len(names) > 1:
                    message = f"Spans go to one provider: to {names[0]}, the first."
                    yield finding(INVALID_PROVIDER, resource, ("spec", field, number, "providers", 1), message)


def of_settings(seen: Examined) -> Iterator[Finding]:
    """The default providers of the mesh, and the services that its providers are."""
    for resource in seen.of("MeshConfig"):
        spec = resource.spec
        if (defaults := spec.default_providers) is not None:
            for field, names in (
                ("accessLogging", defaults.access_logging),
                ("metrics", defaults.metrics),
                ("tracing", defaults.tracing),
            ):
                where: Path = ("spec", "defaultProviders", field)
                yield from _checked(seen.world.mesh, resource, field, where, names, named=False)
        for number, each in enumerate(spec.extension_providers):
            if each.opentelemetry is not None:
                place = ("spec", "extensionProviders", number, "opentelemetry")
                yield from _service(seen, resource, place, each.opentelemetry)


def _checked(
    mesh: MeshConfig, resource: Resource, field: str, place: Path, names: Iterable[str], named: bool = True
) -> Iterator[Finding]:
    wanted, what, so = _WANTED[field]
    for number, name in enumerate(names):
        found = provider_of(mesh, name)
        if isinstance(found, wanted):
            continue
        why = f'"{name}" is {what}' if found is not None else f'There is no extension provider "{name}"'
        known = sorted({each for each in (*mesh.providers, "envoy", "prometheus") if _is(mesh, each, wanted)})
        message = f"{why}: {so} (there is {', '.join(known) or 'none'}; MeshConfig's extensionProviders has them)."
        yield finding(INVALID_PROVIDER, resource, (*place, number, "name") if named else (*place, number), message)


def _is(mesh: MeshConfig, name: str, wanted: type) -> bool:
    return isinstance(provider_of(mesh, name), wanted)


def _service(seen: Examined, resource: Resource, place: Path, said: OpenTelemetryTracingProvider) -> Iterator[Finding]:
    host, namespace, port = said.host, said.namespace, said.port
    service = seen.service(host, resource.key.namespace)
    if service is None or namespace not in ("", service.namespace):
        message = f'Referenced service not found: "{said.service}"; spans are kept where they are made'
        yield finding(REFERENCED_RESOURCE_NOT_FOUND, resource, (*place, "service"), message)
    elif all(each.number != port for each in service.ports):
        message = f"Referenced port not found: {host} has no port {port}; spans are kept where they are made"
        yield finding(REFERENCED_RESOURCE_NOT_FOUND, resource, (*place, "port"), message)
