from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mesh.alerts.engine import Alert, State
from mesh.alerts.webhook import WebhookError, checked, payload, post

ALERT = Alert(
    "MeshBreakerOpen", {"pod": "a", "severity": "warning"}, {"summary": "open"}, State.FIRING, 1_700_000_000.0, 2.0
)
OVER = Alert("MeshProxyGone", {"pod": "a", "severity": "critical"}, {"summary": "gone"}, State.RESOLVED, 1.0, 0.0, 61.0)


def test_a_receiver_of_alertmanager_s_webhook_understands_it() -> None:
    found = payload([ALERT, OVER], "http://127.0.0.1:15080")
    assert found["version"] == "4"
    assert found["status"] == "firing"
    assert found["commonLabels"] == {"pod": "a"}
    first, second = found["alerts"]
    assert first["labels"] == {"alertname": "MeshBreakerOpen", "pod": "a", "severity": "warning"}
    assert (first["startsAt"], first["endsAt"]) == ("2023-11-14T22:13:20.000Z", "0001-01-01T00:00:00Z")
    assert (second["status"], second["endsAt"]) == ("resolved", "1970-01-01T00:01:01.000Z")
    assert first["fingerprint"] != second["fingerprint"]


def test_it_is_posted_and_a_refusal_is_an_error() -> None:
    got: list[dict[str, object]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200 if self.path == "/good" else 500)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        post(f"{url}/good", [ALERT], "x")
        with pytest.raises(WebhookError, match="was not told: HTTP Error 500"):
            post(f"{url}/bad", [ALERT], "x")
        server.shutdown()
    assert [each["status"] for each in got] == ["firing", "firing"]
    with pytest.raises(WebhookError, match="expected http://HOST"):
        checked("ftp://x")
