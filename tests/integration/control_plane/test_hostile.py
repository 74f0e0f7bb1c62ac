"""One bad guest does not stop the house: a process that is given what nobody means well with."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.integration.control_plane.support import ControlPlane
from tests.unit.control_plane.samples import route, text

STOP_SECONDS = 6.0


def stop(plane: ControlPlane) -> float:
    began = time.monotonic()
    plane.process.signal(signal.SIGTERM)
    assert plane.process.wait() == 0
    return time.monotonic() - began


@pytest.mark.fault(9)
def test_a_folder_with_a_pipe_in_it_is_served(tmp_path: Path) -> None:
    root = tmp_path / "config"
    root.mkdir()
    (root / "a.yaml").write_text(text(route("a")))
    os.mkfifo(root / "pipe.yaml")
    (root / "device.yaml").symlink_to("/dev/zero")
    with ControlPlane(f"dir://{root}", tmp_path) as plane:
        assert plane.documents() == [route("a")]
        problems = plane.call("GET", "/api/v1/status").body["problems"]
        assert {problem["file"] for problem in problems} == {"pipe.yaml", "device.yaml"}
        assert plane.apply(text(route("b"))).status == 200
        assert stop(plane) < STOP_SECONDS


@pytest.mark.fault(11)
def test_watchers_that_read_nothing_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path) as plane:
        assert plane.apply(text(*(route(f"r{n}") for n in range(3000)))).status == 200
        watchers = [socket.create_connection(("127.0.0.1", plane.http)) for _ in range(100)]
        for number, watcher in enumerate(watchers):
            watcher.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            watcher.sendall(b"GET /api/v1/watch?since=0 HTTP/1.1\r\nhost: localhost\r\n\r\n")
            if number % 2:
                watcher.close()
        assert plane.call("GET", "/api/v1/status").status == 200
        assert stop(plane) < STOP_SECONDS
        for watcher in watchers:
            watcher.close()
        assert "Traceback" not in plane.process.log_path.read_text()


@pytest.mark.fault(15)
def test_an_apply_that_nobody_waits_for_is_not_made(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path) as plane:
        large = text(*(route(f"r{n}") for n in range(4000)))
        abandoned = http.client.HTTPConnection("127.0.0.1", plane.http, timeout=0.5)
        body = http_body(large)
        abandoned.request("POST", "/api/v1/apply", body, {"content-type": "application/json"})
        with pytest.raises(TimeoutError):
            abandoned.getresponse()
        abandoned.close()
        # The same again, answered: it is the first revision.
        answer = plane.apply(large)
        assert (answer.status, answer.body["revision"]) == (200, 1)


@pytest.mark.fault(15)
def test_the_end_does_not_wait_for_what_is_being_checked(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path) as plane:
        large = text(*(route(f"r{n}") for n in range(10_000)))
        asking = http.client.HTTPConnection("127.0.0.1", plane.http)
        asking.request("POST", "/api/v1/apply", http_body(large), {"content-type": "application/json"})
        assert plane.call("GET", "/api/v1/status").status == 200
        assert stop(plane) < STOP_SECONDS
        asking.close()


def http_body(content: str) -> str:
    import json

    return json.dumps({"files": [{"name": "large.yaml", "text": content}]})
