"""Starting, stopping, failing to start."""

from __future__ import annotations

import http.client
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.harness.process import http_get
from tests.integration.control_plane.support import ControlPlane, run
from tests.unit.control_plane.samples import route, text

STOP_SECONDS = 6.0  # it takes half a second where nothing else runs


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/state/mesh.db"


def test_it_serves_and_stops(store: str, tmp_path: Path) -> None:
    with ControlPlane(store, tmp_path) as plane:
        assert plane.call("GET", "/api/v1/status").body["store"] == store
        status, metrics = http_get(plane.metrics, "/metrics")
        assert status == 200
        assert "pilot_info" in metrics
        # Somebody who watches, and somebody who waits, do not keep it from stopping.
        watcher = http.client.HTTPConnection("127.0.0.1", plane.http)
        watcher.request("GET", "/api/v1/watch")
        assert watcher.getresponse().status == 200
        began = time.monotonic()
        plane.process.signal(signal.SIGTERM)
        assert plane.process.wait() == 0
        assert time.monotonic() - began < STOP_SECONDS
        watcher.close()


def test_kill_and_start_again_keeps_everything(store: str, tmp_path: Path) -> None:
    with ControlPlane(store, tmp_path) as plane:
        plane.apply(text(route("a"), route("b")))
        plane.apply(text(route("a", "v2")))
        plane.call("DELETE", "/api/v1/resources/VirtualService/default/b")
        history = plane.call("GET", "/api/v1/history").body
        for _ in range(2):
            plane.kill()
            plane.start()
        assert plane.documents() == [route("a", "v2")]
        assert plane.call("GET", "/api/v1/history").body == history
        assert plane.call("POST", "/api/v1/rollback", {"revision": 1}).body["revision"] == 4
        assert plane.documents() == [route("a"), route("b")]


def test_kill_between_two_applies_keeps_every_answered_one(store: str, tmp_path: Path) -> None:
    with ControlPlane(store, tmp_path) as plane:
        for number in range(5):
            assert plane.apply(text(route(f"r{number}"))).status == 200
            plane.kill()
            plane.start()
            assert len(plane.documents()) == number + 1


@pytest.mark.parametrize("name", ["xds", "http", "metrics"])
def test_a_port_that_is_taken(store: str, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        flags = {f"--{other}-address": "127.0.0.1:0" for other in ("xds", "http", "metrics")}
        flags[f"--{name}-address"] = f"127.0.0.1:{port}"
        done = run("--store", store, *(word for item in flags.items() for word in item))
    assert done.returncode == 1
    assert f"port {port} on 127.0.0.1 is taken" in done.stderr
    assert f"--{name}-address" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_one_on_the_same_store(store: str, tmp_path: Path) -> None:
    with ControlPlane(store, tmp_path) as plane:
        any_port = [f"--{name}-address=127.0.0.1:0" for name in ("xds", "http", "metrics")]
        done = run("--store", store, *any_port)
        assert (done.returncode, "in use by another control plane" in done.stderr) == (1, True)
        assert plane.apply(text(route())).status == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "etcd://localhost:2379"], "there is no config store etcd://"),
        (["--store", "dir:///nowhere/at/all"], "is no folder"),
        (["--xds-address", "15010"], "is not HOST:PORT"),
        (["--http-address", "::1:80"], "in brackets"),
        (["--tracing-sampling", "200"], "not a percentage"),
        (["--otlp-endpoint", "collector:4318"], "is not a URL"),
    ],
)
def test_a_command_line_that_makes_no_sense(arguments: list[str], message: str) -> None:
    any_port = [f"--{name}-address=127.0.0.1:0" for name in ("xds", "http", "metrics")]
    done = run(*any_port, *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_teaches() -> None:
    text = run("--help").stdout
    for word in ("--store", "sqlite:///PATH", "dir:///PATH", "127.0.0.1:15010", "examples:", "--restart-grace"):
        assert word in text
