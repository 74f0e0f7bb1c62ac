"""The commands that look into a mesh, against a real control plane."""

from __future__ import annotations

import json
import sys

import pytest
import yaml

from tests.integration.demo.stack import CLIENT, ROOT, Demo

RULES = ROOT / "examples" / "bookinfo" / "networking"


def test_every_proxy_is_in_step(demo: Demo) -> None:
    done = demo.mesh("proxy-status")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()[1:]]
    assert len(names) == 7
    assert "reviews-v1" in names
    assert "istio-ingressgateway" in names


def test_workloads(demo: Demo) -> None:
    rows = [line.split() for line in demo.mesh("workloads").stdout.splitlines()[1:]]
    assert [row[2] for row in rows if row[0] == "reviews"] == ["v1", "v2", "v3"]
    assert all(row[4] == "healthy" for row in rows)


def test_proxy_config_shows_istios_names(demo: Demo) -> None:
    def shown(what: str) -> str:
        done = demo.mesh("proxy-config", what, "productpage-v1")
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "reviews.default.svc.cluster.local" in shown("clusters")
    assert "Route: http_proxy" in shown("listeners")
    assert "http_proxy" in shown("routes")
    assert "outbound|9080|v1|reviews.default.svc.cluster.local" in shown("endpoints")
    assert json.loads(demo.mesh("proxy-config", "clusters", "productpage-v1.default", "-o", "json").stdout)


def test_get_diff_delete_history_rollback(demo: Demo) -> None:
    rules = str(RULES / "reviews-90-10.yaml")
    assert demo.mesh("diff", "-f", rules).returncode == 1
    assert demo.mesh("apply", "-f", rules).stdout == "virtualservice/reviews created\n"
    assert demo.mesh("apply", "-f", rules).stdout == "virtualservice/reviews unchanged\n"
    assert demo.mesh("diff", "-f", rules).returncode == 0
    assert "v1 90 %, v2 10 %" in demo.mesh("get", "vs").stdout
    document = yaml.safe_load(demo.mesh("get", "vs", "reviews", "-o", "yaml").stdout)
    assert document["spec"]["http"][0]["route"][1]["weight"] == 10
    revision = demo.mesh("history", "vs", "reviews").stdout.splitlines()[1].split()[0]
    assert demo.mesh("delete", "vs", "reviews").stdout == "virtualservice/reviews deleted\n"
    assert demo.mesh("get", "vs", "reviews").returncode == 1
    rolled = demo.mesh("rollback", revision, "--wait")
    assert rolled.returncode == 0, rolled.stderr
    assert demo.mesh("get", "vs", "reviews").returncode == 0


def test_standard_input(demo: Demo) -> None:
    done = demo.mesh("apply", "-w", "-f", "-", stdin=(RULES / "all-v1.yaml").read_text())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("created") == 4


ASKS = """
import sys, threading, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

class Says(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"local")

server = HTTPServer((sys.argv[1], 0), Says)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer = urllib.request.urlopen(f"http://{sys.argv[1]}:{server.server_port}/x", timeout=10)
print(answer.read().decode())
"""


@pytest.mark.fault(31)
def test_a_local_server_on_another_loopback_address_is_reached_through_the_proxy(demo: Demo) -> None:
    """Python's urllib does not read the ranges of no_proxy, and asks the proxy for 127.0.5.5, too."""
    where = ["--xds", f"{demo.address}:15010", "--address", f"{demo.network}.91", "--name", CLIENT]
    done = demo.mesh("run", *where, "--", sys.executable, "-c", ASKS, f"{demo.network}.92")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "local\n"
    assert "never used" not in done.stderr
