"""Spans into a real OpenTelemetry collector (rotel), by each of OTLP's ways, from a proxy that serves requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.harness.ports import free_ports
from tests.harness.process import Process, http_get, wait_until
from tests.harness.sidecar import sidecar_command

BOOTSTRAP = """
node: {{id: sidecar~127.0.0.1~shop-v1.default~default.svc.cluster.local, cluster: shop.default}}
admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}
static_resources:
  listeners:
  - name: in
    traffic_direction: INBOUND
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          tracing:
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                service_name: shop
                {service}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /}}
                direct_response: {{status: 503}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: collector
    type: STATIC
    load_assignment:
      cluster_name: collector
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {collector}}}}}}}
"""
OVER_HTTP = "http_service: {http_uri: {uri: 'http://otel.example/v1/traces', cluster: collector, timeout: 5s}}"
OVER_GRPC = "grpc_service: {envoy_grpc: {cluster_name: collector}, timeout: 5s}"


@pytest.fixture
def agent() -> Path:
    spec = find_spec("rotel")
    if spec is None or spec.origin is None:
        pytest.skip("rotel is not installed: it is to be had for Linux only")
    path = Path(spec.origin).with_name("rotel-agent")
    path.chmod(0o755)
    return path


@pytest.fixture
def collector(agent: Path, tmp_path: Path) -> Iterator[tuple[Process, int, int]]:
    """The process, and its ports for gRPC and HTTP. It prints each span that it gets."""
    grpc, http = free_ports(2)
    words = ["start", "--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}"]
    words += ["--exporter", "blackhole", "--debug-log", "traces", "--debug-log-verbosity", "detailed"]
    words += ["--batch-timeout", "100ms", "--pid-file", str(tmp_path / "rotel.pid")]
    process = Process([str(agent), *words], tmp_path / "rotel.txt", {**os.environ})
    try:
        yield process, grpc, http
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("service", "protocol"),
    [(OVER_GRPC, ""), (OVER_HTTP, "http/protobuf"), (OVER_HTTP, "http/json")],
    ids=["grpc", "http/protobuf", "http/json"],
)
def test_a_real_collector_reads_our_spans(
    collector: tuple[Process, int, int], tmp_path: Path, service: str, protocol: str
) -> None:
    agent, grpc, http = collector
    admin, port = free_ports(2)
    config = tmp_path / "sidecar.yaml"
    to = grpc if service == OVER_GRPC else http
    config.write_text(BOOTSTRAP.format(admin=admin, port=port, service=service, collector=to))
    environment = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "XDG_STATE_HOME": str(tmp_path)}
    with Process(sidecar_command(config), tmp_path / "sidecar.txt", environment) as sidecar:
        sidecar.wait_ready(lambda: http_get(admin, "/ready")[0] == 200)
        assert http_get(port, "/cart?item=7")[0] == 503

        def sent() -> bool:
            page = http_get(admin, "/stats?filter=spans_")[1]
            return "tracing.opentelemetry.spans_sent: 1\n" in page

        wait_until(sent, 60, "the span is sent")
        wait_until(lambda: "url.path" in agent.log_path.read_text(), 60, "the collector has it")
    said = agent.log_path.read_text()
    for expected in (
        "Str(/cart)",
        "Str(item=7)",
        "Str(GET)",
        "Int(503)",
        "error.type",
        "Str(shop)",
        "client.address",
    ):
        assert expected in said, f"{expected}: {said}"
