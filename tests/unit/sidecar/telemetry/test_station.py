from __future__ import annotations

import asyncio
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mesh.errors import ConfigError
from sidecar.config.model import AccessLog, Address, Direction, Hcm, TcpProxy, Tracing, WeightedCluster
from sidecar.telemetry import station
from sidecar.telemetry.peer import decode
from sidecar.telemetry.prometheus import pieces
from sidecar.telemetry.station import Telemetry
from sidecar.telemetry.stats import Stats
from tests.unit.sidecar.telemetry.exchanges import CLOCK_START, clock, exchange, node

OUT = Direction.OUTBOUND


@pytest.fixture
async def telemetry() -> Any:
    made = Telemetry(Stats(), node(), asyncio.get_running_loop(), clock=clock())
    yield made
    await made.close()


def hcm(**fields: Any) -> Hcm:
    return Hcm("in", (), **fields)


def account(telemetry: Telemetry, config: Hcm, direction: Direction, made: Any = None) -> None:
    made = made or exchange()
    tracer = telemetry.tracer(config, direction)
    if tracer is not None:
        tracer.begin(made)
    telemetry.on_complete(config, direction)(made, CLOCK_START + 0.1)


async def test_a_finished_exchange_reaches_metrics_log_and_spans(telemetry: Telemetry, tmp_path: Path) -> None:
    config = hcm(access_logs=(AccessLog(str(tmp_path / "a.log"), text="%RESPONSE_CODE%\n"),), tracing=Tracing())
    account(telemetry, config, Direction.OUTBOUND)
    telemetry.sinks.flush()
    assert (tmp_path / "a.log").read_text() == "200\n"
    assert len(telemetry.istio.request_series) == 1
    assert len(telemetry.spans.recent) == 1


async def test_only_sampled_requests_stand_for_others(telemetry: Telemetry) -> None:
    account(telemetry, hcm(tracing=Tracing(random_chance=0)), Direction.OUTBOUND)
    (series,) = telemetry.istio.request_series.values()
    assert series.exemplars is None
    account(telemetry, hcm(tracing=Tracing()), Direction.OUTBOUND)
    assert series.exemplars is not None
    (exemplar,) = series.exemplars.values()
    assert exemplar.trace_id == telemetry.spans.recent[-1].trace_id
    assert exemplar.value == pytest.approx(100)


async def test_listeners_without_direction_have_no_istio_metrics(telemetry: Telemetry) -> None:
    account(telemetry, hcm(), Direction.UNSPECIFIED)
    assert telemetry.istio.request_series == {}


async def test_without_tracing_nothing_is_traced(telemetry: Telemetry) -> None:
    assert telemetry.tracer(hcm(), Direction.INBOUND) is None


async def test_a_bad_log_is_refused_when_it_is_configured(telemetry: Telemetry, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        telemetry.on_complete(hcm(access_logs=(AccessLog(str(tmp_path / "a"), text="%NOPE%"),)), Direction.INBOUND)


async def test_tcp_sessions(telemetry: Telemetry, tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "a.log"), text="%BYTES_SENT%\n")
    config = TcpProxy("tcp", (WeightedCluster("c", 1),), access_logs=(log,))
    opened, ended = telemetry.tcp_accounting(config, Direction.OUTBOUND)
    made = exchange(b"", b"", [], status=0)
    opened(made)
    ended(made, CLOCK_START + 1)
    telemetry.sinks.flush()
    assert (tmp_path / "a.log").read_text() == "5\n"
    assert [series.closed for series in telemetry.istio.tcp.all_series()] == [1]
    opened, ended = telemetry.tcp_accounting(TcpProxy("tcp", ()), Direction.UNSPECIFIED)
    opened(made)
    ended(made, CLOCK_START + 1)
    assert [series.closed for series in telemetry.istio.tcp.all_series()] == [1]


async def test_the_node_introduces_itself(telemetry: Telemetry) -> None:
    found = decode(dict(telemetry.peer_headers)[b"x-envoy-peer-metadata"])
    assert found is not None
    assert found.workload == "productpage-v1"


async def test_breaker_changes_are_counted_and_kept(telemetry: Telemetry) -> None:
    telemetry.on_breaker("c", "10.0.0.7:80", "open", "5 consecutive 5xx")
    telemetry.on_breaker("c", "10.0.0.7:80", "closed", "ejection time is over")
    text = b"".join(pieces(telemetry.registry, "")[1]).decode()
    assert 'mesh_breaker_transitions_total{cluster="c",state="open"} 1\n' in text
    assert [event.state for event in telemetry.breaker_events] == ["open", "closed"]


async def test_part_of_the_metrics(telemetry: Telemetry) -> None:
    account(telemetry, hcm(), Direction.INBOUND)
    telemetry.stats.counter("a.b").value = 1
    names = [metric.name for metric in telemetry.exposition(used_only=True, matches=None).collect()]
    assert "istio_requests" in names
    assert "envoy_a_b" in names
    assert "envoy_filesystem_write_failed" not in names
    only = telemetry.exposition(used_only=False, matches=lambda name: name == "istio_requests_total").collect()
    assert [metric.name for metric in only] == ["istio_requests"]
    assert telemetry.exposition(used_only=False, matches=None) is telemetry.registry


async def test_intervals_end_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(station, "LATCH_INTERVAL", 0.0)
    stats, loop = Stats(), asyncio.get_running_loop()
    histogram = stats.histogram("a")
    histogram.record(1)
    made = Telemetry(stats, node(), loop)
    latched = asyncio.Event()
    loop.call_later(0.0005, latched.set)
    await latched.wait()
    await made.close()
    assert histogram.count == 1
    assert stats.histogram("a")._latched is not None


async def test_spans_reach_a_collector_by_its_clusters_address(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, json.loads(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Keeps quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = Address("127.0.0.1", server.server_address[1])
    telemetry = Telemetry(Stats(), node(), asyncio.get_running_loop(), address_of=lambda cluster: address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    tracing = Tracing(otlp_cluster="collector", otlp_url="http://otel.example/v1/traces", service_name="shop")
    account(telemetry, hcm(tracing=tracing), Direction.INBOUND)
    await telemetry.close()
    server.shutdown()
    thread.join()
    server.server_close()
    ((path, body),) = received
    assert path == "/v1/traces"
    (resource,) = body["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "shop"}} in resource["resource"]["attributes"]
    (span,) = resource["scopeSpans"][0]["spans"]
    assert span["name"] == "ingress"
    assert len(telemetry.spans.recent) == 1


async def test_an_account_that_fails_is_told_of_once_and_stops_nobody(
    telemetry: Telemetry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def bad(_exchange: Any, _now: float) -> None:
        raise ValueError("no such label")

    monkeypatch.setattr(telemetry.istio, "requests", lambda _direction: bad)
    config = hcm(access_logs=(AccessLog(str(tmp_path / "a.log"), text="%RESPONSE_CODE%\n"),), tracing=Tracing())
    finish, made, tracer = telemetry.on_complete(config, Direction.OUTBOUND), exchange(), telemetry.tracer(config, OUT)
    assert tracer is not None
    tracer.begin(made)
    finish(made, CLOCK_START + 0.1)
    finish(made, CLOCK_START + 0.1)
    telemetry.sinks.flush()
    assert (tmp_path / "a.log").read_text() == "200\n200\n"
    assert len(telemetry.spans.recent) == 2
    assert telemetry.stats.counter("telemetry.account_errors").value == 2
    (record,) = caplog.records
    assert record.exc_info is not None and "no such label" in str(record.exc_info[1])


async def test_living_tcp_sessions_are_reported_at_every_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry = Telemetry(Stats(), node(), asyncio.get_running_loop(), clock=clock())
    reported = {0.001: asyncio.Event(), 0.002: asyncio.Event()}
    monkeypatch.setattr(telemetry.istio.tcp, "report", lambda every: reported[every].set())
    for every in reported:
        telemetry.tcp_accounting(TcpProxy("tcp", (), report_interval=every), Direction.OUTBOUND)
    for _ in range(2):  # and again
        async with asyncio.timeout(5):
            for each in reported.values():
                await each.wait()
                each.clear()
    await telemetry.close()
