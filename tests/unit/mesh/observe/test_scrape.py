from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

from mesh.clock import SystemClock
from mesh.observe.gather import ask
from mesh.observe.scrape import Scraper, names
from mesh.observe.service_stats import WANTED, rows
from mesh.observe.targets import targets
from mesh.promql.evaluate import query
from mesh.promql.parse import parse
from mesh.promql.series import Store


def test_the_metrics_that_rules_ask_for() -> None:
    text = 'sum(rate(a_total[1m])) / -b > on (x) label_replace(c, "x", "$1", "y", "(.*)") or absent(d)'
    assert names([parse(text)]) == {"a_total", "b", "c", "d"}


def test_every_target_is_asked_for_what_is_wanted_and_those_that_are_silent_are_down() -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b'istio_requests_total{reporter="source",destination_service_name="a",response_code="200"} %d\nother 1\n'
            self.send_response(200 if self.path != "/logs" else 404)
            self.end_headers()
            self.wfile.write(body % (len(asked) * 50))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        proxies = [
            {"address": "127.0.0.1", "metrics_port": server.server_port, "name": "a-v1", "namespace": "default"},
            {"address": "127.0.0.1", "metrics_port": 0, "name": "proxyless", "namespace": "default"},
        ]
        found = targets(proxies, ("127.0.0.1", 1))
        store = Store(keep=60)
        scraper = Scraper(store, WANTED, SystemClock())
        scraper.scrape(found)
        scraper.scrape(found)
        answers = ask(found, "/logs")
        server.shutdown()
    now = SystemClock().wall()
    assert query("up", store, now).values() and sum(query("up", store, now).values()) == 1
    assert list(scraper.errors) == ["127.0.0.1:1"]
    assert query("other", store, now) == {}
    (row,) = rows(store, now, 'reporter="source"', ("destination_service_name",), 30)
    assert (row.labels, row.success, row.p50) == ({"destination_service_name": "a"}, 1.0, None)
    assert "istio[._]requests[._]total" in parse_qs(urlsplit(asked[0]).query)["filter"][0]
    assert answers.errors == {"a-v1": "/logs answered 404"}
