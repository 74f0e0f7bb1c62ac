"""The commands that look into a running mesh, on one with faults in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.harness.process import Process, wait_until
from tests.integration.boards.conftest import Watched
from tests.integration.demo.stack import MESH, ROOT

JASON = {"end-user": "jason"}


def test_stat_and_edges_and_metrics_say_how_services_do(watched: Watched) -> None:
    def everybody() -> dict[str, Any]:
        """By service; empty as long as one of them was asked nothing in the window, as on a machine that has much to do."""
        found = json.loads(watched.demo.mesh("stat", "-o", "json", "--window", "3").stdout)
        services = {each["destination_service_name"]: each for each in found}
        return services if {"productpage", "details", "reviews", "ratings"} <= set(services) else {}

    services = wait_until(everybody, 60, "all services in one window")
    assert services["details"]["success"] == 1
    assert 0 < services["details"]["p50_ms"] < 1000
    for command, words in (
        ("edges", {"productpage-v1", "reviews"}),
        ("metrics reviews-v1", {"reviews-v1"}),
        ("stat reviews", {"v1"}),
    ):
        wait_until(partial(_shows, watched, command.split(), words), 60, f"{words} in mesh {command}")


def _shows(watched: Watched, command: Sequence[str], words: set[str]) -> bool:
    return words <= set(watched.demo.mesh(*command, "--window", "3").stdout.split())


def test_logs_are_gathered_and_filtered(watched: Watched) -> None:
    watched.apply("ratings-abort-jason")
    watched.demo.apply((ROOT / "examples/bookinfo/networking/reviews-jason-v2.yaml").read_text())
    watched.demo.get("/productpage", JASON)

    def aborted() -> list[str]:
        lines = watched.demo.mesh("logs", "reviews-v2", "--status", "5xx").stdout.splitlines()
        assert all("reviews-v2 →" in line for line in lines)
        return [line for line in lines if "FI fault_filter_abort" in line]  # a busy machine has time-outs, too

    wait_until(aborted, 20, "a failed request in the logs")
    assert watched.demo.mesh("logs", "--tail", "0").stdout == ""
    assert len(watched.demo.mesh("logs", "--tail", "3").stdout.splitlines()) == 3
    assert watched.demo.mesh("logs", "--slower-than", "1h").stdout == ""
    refused = watched.demo.mesh("logs", "--status", "ok")
    assert refused.returncode == 2
    assert "--status ok: expected a code such as 503" in refused.stderr
    raw = watched.demo.mesh("logs", "reviews-v2", "--status", "500", "--raw").stdout
    assert raw.startswith("[20")


def test_tap_shows_requests_as_they_happen(watched: Watched) -> None:
    found = watched.demo.mesh("tap", "productpage", "--max", "1").stdout.splitlines()
    assert [line.split()[0] for line in found] == ["req", "rsp", "end"]
    assert ":path=" in found[0] and ":status=200" in found[1]


def test_top_counts_routes(watched: Watched) -> None:
    assert "/productpage" in watched.demo.mesh("top", "--once").stdout


@pytest.mark.complaint(18)
def test_a_trace_is_found_drawn_and_written(watched: Watched, tmp_path: Path) -> None:
    watched.demo.get("/productpage", {"x-request-id": "not-a-uuid"})
    found = json.loads(watched.demo.mesh("traces", "--limit", "5", "-o", "json").stdout)
    assert found
    chosen = max(found, key=lambda trace: len(trace["spans"]))
    drawn = watched.demo.mesh("trace", chosen["trace_id"]).stdout.splitlines()
    assert len(drawn) >= 2  # proxies get spans, and forget them, meanwhile
    assert all(len(line) <= 90 for line in drawn[1:])
    page = tmp_path / "trace.html"
    watched.demo.mesh("trace", chosen["trace_id"], "--html", str(page))
    assert page.read_text().startswith("<!doctype html>")
    missing = watched.demo.mesh("trace", "nothing")
    assert missing.returncode == 1
    assert "no proxy has spans of nothing" in missing.stderr


def test_breakers_are_shown_with_their_windows(watched: Watched) -> None:
    watched.apply("ratings-three-state-breaker")
    found = json.loads(watched.demo.mesh("breakers", "--all", "-o", "json").stdout)
    ratings = [each for each in found if each["service"] == "ratings" and each["host"] == "*"]
    assert ratings
    assert all(each["requests"] >= 0 and each["opens_at"] for each in ratings)


def test_an_alert_begins_is_posted_and_ends(watched: Watched, tmp_path: Path) -> None:
    """With rules that are fast enough for a test: a service that fails, and is mended."""
    rules = tmp_path / "rules.yml"
    rules.write_text(
        "groups:\n- name: test\n  rules:\n  - alert: Failing\n    labels: {severity: page}\n    expr: >-\n"
        '      sum by (destination_service_name) (rate(istio_requests_total{response_code="500"}[15s])) > 0\n'
        '    annotations: {summary: "{{ $labels.destination_service_name }} fails"}\n'
    )
    posted: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    watched.demo.reset()
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = [
            *MESH,
            "alerts",
            "--watch",
            "--rules",
            str(rules),
            "--webhook",
            f"http://127.0.0.1:{server.server_port}/",
        ]
        with Process(command, tmp_path / "alerts.txt", {"MESH_SERVER": watched.demo.server}, ROOT) as process:
            process.wait_ready(lambda: "watching" in process.log())
            watched.apply("ratings-abort-jason")

            def fires() -> bool:
                watched.demo.get("/productpage", JASON)
                return any(each["status"] == "firing" for each in posted)

            wait_until(fires, 60, "the alert to be posted")
            watched.demo.reset()
            wait_until(lambda: any(each["status"] == "resolved" for each in posted), 60, "its end to be posted")
            assert "ratings fails" in process.log()
        server.shutdown()
    assert posted[0]["alerts"][0]["labels"]["destination_service_name"] == "ratings"
