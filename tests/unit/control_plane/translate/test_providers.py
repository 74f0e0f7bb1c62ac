"""Extension providers, as the logs and spans of one side of a workload."""

from __future__ import annotations

import pytest

from control_plane.mesh_config import mesh_of
from control_plane.translate.mesh_telemetry import told
from control_plane.translate.providers import file_logs, json_members, provider_of
from control_plane.world import AccessLogEncoding, Collector, FileLog, MeshConfig, Metered
from mesh.istio.load import load

SETTINGS = """apiVersion: mesh.asyncmesh.io/v1alpha1
kind: MeshConfig
metadata: {name: mesh}
spec:
  extensionProviders:
  - {name: errors, envoyFileAccessLog: {path: /tmp/errors}}
  - {name: json, envoyFileAccessLog: {path: /tmp/json, logFormat: {labels: {code: "%PROTOCOL%"}}, omitEmptyValues: true}}
  - {name: text, envoyFileAccessLog: {logFormat: {text: "%PROTOCOL%"}}}
  - {name: Spans, opentelemetry: {service: seeing/otel.example, port: 4317, maxTagLength: 9, grpc: {timeout: 2s}}}
  - {name: web, opentelemetry: {service: otel.example, port: 4318, http: {path: /v1/traces, timeout: 3s}}}
  - {name: numbers, prometheus: {}}
"""
DEFAULTS = "  defaultProviders: {accessLogging: [json, nobody, errors], tracing: [web]}\n"
HEAD = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: t{}}}\nspec: {{{}}}\n"


def settings(text: str = SETTINGS, started: MeshConfig = MeshConfig()) -> MeshConfig:  # noqa: B008 - frozen
    return mesh_of(started, {"MeshConfig": tuple(load(text))})


def logs(*specs: str, mesh: MeshConfig | None = None) -> tuple[FileLog, ...]:
    resources = [load(HEAD.format(number, spec))[0] for number, spec in enumerate(specs)]
    return file_logs(told(mesh or settings(), resources))


def paths(*specs: str, mesh: MeshConfig | None = None) -> list[str]:
    return [f"{log.path}{'?' if log.filter else ''}" for log in logs(*specs, mesh=mesh)]


def test_what_providers_are() -> None:
    mesh = settings()
    assert provider_of(mesh, "ERRORS") == FileLog("/tmp/errors")
    assert provider_of(mesh, "json") == FileLog("/tmp/json", labels={"code": "%PROTOCOL%"}, omit_empty=True)
    assert provider_of(mesh, "text") == FileLog("/dev/stdout", "%PROTOCOL%")
    assert provider_of(mesh, "spans") == Collector("otel.example", 4317, "", 2.0, 9, "seeing")
    assert provider_of(mesh, "web") == Collector("otel.example", 4318, "/v1/traces", 3.0)
    assert provider_of(mesh, "numbers") == provider_of(mesh, "prometheus") == Metered()
    assert provider_of(mesh, "nobody") is None


def test_the_log_that_is_always_there() -> None:
    assert provider_of(MeshConfig(access_log_file=""), "envoy") == FileLog("/dev/stdout")
    json = MeshConfig(access_log_file="/tmp/log", access_log_encoding=AccessLogEncoding.JSON)
    assert provider_of(json, "envoy") == FileLog("/tmp/log", labels={})
    own = SETTINGS.replace("name: errors", "name: envoy")
    assert provider_of(settings(own, json), "envoy") == FileLog("/tmp/errors", labels={})  # in the mesh's format


def test_defaults() -> None:
    assert paths() == ["/dev/stdout"]
    mesh = settings(SETTINGS + DEFAULTS)
    assert paths(mesh=mesh) == ["/tmp/json", "/tmp/errors"]
    assert mesh.collector == Collector("otel.example", 4318, "/v1/traces", 3.0)
    assert paths("accessLogging: [{disabled: true}]", mesh=mesh) == []
    assert paths("accessLogging: [{filter: {expression: 'true'}}]", mesh=mesh) == ["/tmp/json?", "/tmp/errors?"]


def test_several_logs() -> None:
    both = "accessLogging: [{providers: [{name: envoy}]}, {providers: [{name: errors}], filter: {expression: 'true'}}]"
    assert paths(both) == ["/dev/stdout", "/tmp/errors?"]
    assert paths("accessLogging: [{providers: [{name: nobody}, {name: spans}]}]") == []


def test_what_a_nearer_one_says() -> None:
    mesh = "accessLogging: [{providers: [{name: errors}]}]"
    assert paths(mesh, "accessLogging: [{providers: [{name: text}]}]") == ["/dev/stdout"]
    assert paths(mesh, "accessLogging: [{filter: {expression: 'true'}}]") == ["/tmp/errors?"]
    assert paths(mesh, "accessLogging: [{disabled: true}]") == []
    assert paths(mesh, "accessLogging: [{match: {mode: SERVER}, disabled: true}]") == ["/tmp/errors"]
    assert paths(mesh, "tracing: [{}]") == ["/tmp/errors"]


def test_spans() -> None:
    def collector(spec: str, mesh: MeshConfig | None = None) -> Collector | None:
        return told(mesh or settings(), load(HEAD.format("", spec))).collector

    assert collector("tracing: [{}]") is None
    assert collector("tracing: [{providers: [{name: SPANS}]}]") == provider_of(settings(), "spans")
    assert collector("tracing: [{providers: [{name: nobody}]}]") is None
    other = settings(SETTINGS + DEFAULTS)
    assert collector("tracing: [{providers: [{name: spans}]}]", other) == provider_of(settings(), "spans")
    assert collector("tracing: [{randomSamplingPercentage: 1}]", other) == provider_of(settings(), "web")


def test_metrics_of_others() -> None:
    row = "overrides: [{disabled: true}]"
    assert not told(settings(), load(HEAD.format("", f"metrics: [{{providers: [{{name: spans}}], {row}}}]"))).metrics
    for name in ("numbers", "prometheus"):
        assert told(settings(), load(HEAD.format("", f"metrics: [{{providers: [{{name: {name}}}], {row}}}]"))).metrics


@pytest.mark.parametrize(("text", "members"), [('{"a": 1}', {"a": 1}), ("[1]", None), ("%PROTOCOL%", None)])
def test_formats_of_json(text: str, members: object) -> None:
    assert json_members(text) == members
