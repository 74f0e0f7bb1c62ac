"""What telemetry costs a request, piece by piece: for `tests.bench.micro`.

The yardsticks below it are what the same would cost by the obvious means, on the same machine in the same run.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, Histogram

from mesh.access_log import ISTIO_JSON, ISTIO_TEXT
from sidecar.config.model import Direction, Tracing
from sidecar.http import request_id
from sidecar.http.exchange import Exchange
from sidecar.telemetry import peer
from sidecar.telemetry.access_log import Sinks
from sidecar.telemetry.formatter import compile_format, compile_json, compile_text
from sidecar.telemetry.istio_metrics import REQUEST_LABELS, IstioMetrics
from sidecar.telemetry.prometheus import pieces
from sidecar.telemetry.propagation import RandomIds
from sidecar.telemetry.station import Telemetry
from sidecar.telemetry.stats import ClusterStats, HttpStats, Stats
from sidecar.telemetry.trace import Spans, Tracer
from tests.bench import stopwatch
from tests.unit.sidecar.telemetry.exchanges import exchange, node


def request() -> Exchange:
    """A request with the headers that a browser's has by the time it reached a sidecar."""
    headers = [
        (b"accept", b"*/*"),
        (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (b"accept-language", b"en"),
        (b"end-user", b"jason"),
        (b"x-forwarded-for", b"10.1.1.1"),
        (b"x-forwarded-proto", b"http"),
        (b"x-request-id", b"11111111-2222-4333-8444-555555555555"),
        (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]
    return exchange(headers=headers)


def measure_logs(rounds: int) -> None:
    report = partial(stopwatch.report, rounds=rounds)
    made, now = request(), time.monotonic()
    for name, line in (("JSON", compile_json(ISTIO_JSON)), ("text", compile_text(ISTIO_TEXT))):
        report(f"access log line, {name}, Istio's 24 fields", lambda line=line: line(made, now))  # type: ignore[misc]
    data = json.loads(compile_json(ISTIO_JSON)(made, now))
    report("    yardstick: json.dumps of the ready fields", lambda: json.dumps(data))
    value = compile_format("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%")
    report("header value with one command", lambda: value(made))
    with TemporaryDirectory() as folder:
        loop = asyncio.new_event_loop()
        sinks = Sinks(loop, Stats())
        sink, line = sinks.get(str(Path(folder) / "a.log")), b"x" * 700
        report("batched write of a line of 700 bytes", lambda: sink.write(line))
        sinks.close()
        loop.close()


def measure_metrics(rounds: int) -> None:
    report = partial(stopwatch.report, rounds=rounds)
    made, now = request(), time.monotonic()
    made.peer = peer.Peer("reviews-v1", "default", "reviews", "v1")
    stats = Stats()
    cluster, http = ClusterStats(stats, "outbound|9080||reviews"), HttpStats(stats, "outbound")
    record = IstioMetrics(node()).requests(Direction.OUTBOUND)
    report("Istio's four request metrics", lambda: record(made, now))
    registry = CollectorRegistry()
    histogram = Histogram("h", "", REQUEST_LABELS, registry=registry)
    values = ["unknown"] * len(REQUEST_LABELS)
    report("    yardstick: one prometheus-client histogram", lambda: histogram.labels(*values).observe(3.0))
    report("ClusterStats.complete", lambda: cluster.complete(200, 3.3))
    report("HttpStats.complete", lambda: http.complete(200))
    header = dict(peer.headers(node()))[peer.METADATA_HEADER]
    report("peer metadata, known", lambda: peer.decode(bytes(bytearray(header))))


def measure_traces(rounds: int) -> None:
    report = partial(stopwatch.report, rounds=rounds)
    report("request id", request_id.new)
    report("    yardstick: str(uuid.uuid4())", lambda: str(uuid.uuid4()))
    ids = RandomIds()
    report("trace id and span id", lambda: (ids.digits(32), ids.digits(16)))
    spans = Spans()
    for what, config in (("sampled", Tracing()), ("unsampled", Tracing(random_chance=0))):
        tracer = Tracer(config, node(), Direction.OUTBOUND, spans)
        made = request()
        headers = made.headers
        without = [header for header in headers if header[0] != b"traceparent"]

        def begin(tracer: Tracer = tracer, made: Exchange = made, headers: list[tuple[bytes, bytes]] = headers) -> None:
            made.headers = headers[:]
            tracer.begin(made)

        report(f"trace context, goes on, {what}", begin)
        made.indexed_headers = dict(without)
        report(f"trace context, begins, {what}", lambda: begin(headers=without))  # noqa: B023  # runs at once
    tracer = Tracer(Tracing(), node(), Direction.OUTBOUND, spans)
    made, now = request(), time.monotonic()
    tracer.begin(made)
    report("span of a sampled request, into the ring", lambda: tracer.finish(made, now))


async def measure_scrape() -> None:
    """A sidecar that knows 100 clusters and talks to 50 of them."""
    telemetry = Telemetry(Stats(), node(), asyncio.get_running_loop())
    record = telemetry.istio.requests(Direction.OUTBOUND)
    for number in range(100):
        name = f"outbound|80||service-{number}.default.svc.cluster.local"
        ClusterStats(telemetry.stats, name).complete(200, 3.0)
        if number < 50:
            record(exchange(peer=peer.Peer(f"service-{number}"), cluster_name=name), time.monotonic())
    started = time.perf_counter()
    waits: list[float] = []
    size, last = 0, started
    for piece in pieces(telemetry.registry, "")[1]:
        now = time.perf_counter()
        waits.append(now - last)
        size, last = size + len(piece), now
    print(
        f"{(last - started) * 1e6:9.0f}  scrape of 100 clusters: {size / 1e6:.1f} MB in {len(waits)} pieces, "
        f"the longest took {max(waits) * 1e3:.1f} ms"
    )
    await telemetry.close()
