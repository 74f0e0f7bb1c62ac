"""Who calls whom, by what proxies count."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mesh.observe.calls import calls
from mesh.observe.targets import PLANE, PROXIES, Target

LABELS = 'source_canonical_service="{}",source_workload_namespace="shop",destination_service="{}",reporter="{}"'
HOST = "ratings.shop.svc.cluster.local"
PAGE = "\n".join(
    f"istio_requests_total{{{LABELS.format(*labels)}}} {count}"
    for labels, count in (
        (("reviews", HOST, "source"), 3),
        (("reviews", "details.shop.svc.cluster.local", "source"), 0),  # known, never called
        (("page", HOST, "destination"), 9),  # what the other side counts
        (("unknown", HOST, "source"), 9),
        (("reviews", "unknown", "source"), 9),
    )
)


@pytest.fixture
def port() -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/stats/prometheus?filter=istio_requests_total"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_callers_that_have_called(port: int) -> None:
    def target(number: int, job: str = PROXIES) -> Target:
        return Target("127.0.0.1", number, "/stats/prometheus", job, f"pod-{number}")

    found = calls([target(port), target(1), target(port, PLANE)])  # one answers, one does not, one is no proxy
    assert found == {"reviews.shop.svc.cluster.local": [HOST]}
