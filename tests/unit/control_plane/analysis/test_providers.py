"""Extension providers that cannot be what they are asked for."""

from tests.unit.control_plane.analysis.support import analysed, document

SETTINGS = """apiVersion: mesh.asyncmesh.io/v1alpha1
kind: MeshConfig
metadata: {name: mesh}
spec:
  extensionProviders:
  - {name: spans, opentelemetry: {service: otel.default.svc.cluster.local, port: 4317}}
  - {name: errors, envoyFileAccessLog: {path: /tmp/errors}}
"""
OTEL = """apiVersion: v1
kind: Service
metadata: {name: otel}
spec: {ports: [{name: grpc, port: 4317}]}
"""


def said(spec: str) -> list[tuple[str, str]]:
    return [(each.field, each.message) for each in analysed(OTEL, SETTINGS, document("Telemetry", "one", spec))]


def test_names_that_nobody_knows() -> None:
    ((field, message),) = said("{accessLogging: [{providers: [{name: Errors}, {name: otel}]}]}")
    assert field == "spec.accessLogging[0].providers[1].name"
    assert message.startswith('There is no extension provider "otel": nothing is logged there (there is envoy, errors;')
    ((field, message),) = said("{tracing: [{providers: [{name: errors}]}]}")
    assert (field, message.partition(":")[0]) == (
        "spec.tracing[0].providers[0].name",
        '"errors" is no collector of spans',
    )
    ((field, message),) = said("{metrics: [{providers: [{name: spans}], overrides: [{disabled: true}]}]}")
    assert "no provider of metrics: what is said of it changes nothing (there is prometheus;" in message


def test_spans_go_to_one() -> None:
    ((field, message),) = said("{tracing: [{providers: [{name: spans}, {name: spans}]}]}")
    assert (field, message) == ("spec.tracing[0].providers[1]", "Spans go to one provider: to spans, the first.")


def test_providers_that_are_right() -> None:
    names = "[{providers: [{name: %s}]}]"
    spec = f"{{tracing: {names % 'spans'}, accessLogging: {names % 'envoy'}}}"
    assert analysed(OTEL, SETTINGS, document("Telemetry", "one", spec)) == []


def test_settings_of_the_mesh() -> None:
    defaults = SETTINGS + "  defaultProviders: {tracing: [span], metrics: [prometheus], accessLogging: [spans]}\n"
    found = [(each.code.number, each.field) for each in analysed(OTEL, defaults)]
    assert found == [("IST0157", f"spec.defaultProviders.{each}[0]") for each in ("accessLogging", "tracing")]


def test_services_that_are_not_there() -> None:
    (found,) = analysed(SETTINGS)
    assert (found.code.number, found.field) == ("IST0101", "spec.extensionProviders[0].opentelemetry.service")
    (found,) = analysed(OTEL.replace("4317", "1"), SETTINGS)
    assert found.field == "spec.extensionProviders[0].opentelemetry.port"
    assert "has no port 4317" in found.message
