"""`mesh load` over HTTP/2 and gRPC, against servers of others."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest

MESH = [sys.executable, "-m", "mesh.cli.main"]
SEEN: list[bytes] = []


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """`/test.Echo/Same` gives what it gets, `/test.Echo/No` fails; the bytes are nobody's protobuf."""

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self.fail if details.method.endswith("/No") else self.same)

    def same(self, request: bytes, context: Any) -> bytes:
        SEEN.append(request)
        return request

    def fail(self, request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no")
        return b""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    served = grpc.server(futures.ThreadPoolExecutor(4), handlers=[Echo()])
    port = served.add_insecure_port("127.0.0.1:0")
    served.start()
    yield f"http://127.0.0.1:{port}"
    served.stop(0)


def load(*words: str) -> Any:
    done = subprocess.run([*MESH, "load", *words, "-o", "json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["all"]


def test_unary_calls(server: str) -> None:
    SEEN.clear()
    payload = bytes(range(256))
    body = f"base64:{base64.b64encode(payload).decode()}"
    found = load(f"{server}/test.Echo/Same", "--protocol", "grpc", "-n", "60", "-r", "100", "-d", body)
    assert (found["requests"], found["succeeded"], found["statuses"]) == (60, 60, {"200": 60})
    assert set(SEEN) == {payload}
    assert len(SEEN) == 60
    assert found["received"] == 60 * (5 + len(payload))


def test_a_message_from_a_file_and_an_empty_one(server: str, tmp_path: Path) -> None:
    SEEN.clear()
    (tmp_path / "message").write_bytes(b"\xff\x00\r\n\r\n{{")
    for body in (f"@{tmp_path}/message", ""):
        assert load(f"{server}/test.Echo/Same", "--protocol", "grpc", "-n", "2", "-d", body)["succeeded"] == 2
    assert set(SEEN) == {b"\xff\x00\r\n\r\n{{", b""}


def test_a_call_fails_by_its_own_status(server: str) -> None:
    found = load(f"{server}/test.Echo/No", "--protocol", "grpc", "-n", "10")
    assert (found["succeeded"], found["errors"]) == (0, {"grpc 8": 10})


def test_a_large_message_waits_for_its_window(server: str, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 1_000_000)
    found = load(f"{server}/test.Echo/Same", "--protocol", "grpc", "-n", "3", "-d", f"@{tmp_path}/large")
    assert found["received"] == 3 * 1_000_005


def test_nobody_there() -> None:
    found = load("http://127.0.0.1:1/a.B/C", "--protocol", "grpc", "-n", "3")
    assert (found["succeeded"], found["errors"]) == (0, {"connect": 3})


def test_a_peer_of_another_protocol(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path) as http:
        assert http.stdout is not None
        port = http.stdout.readline().split()[5]
        found = load(f"http://127.0.0.1:{port}/", "--protocol", "h2", "-n", "3", "--timeout", "5")
        http.kill()
    assert found["succeeded"] == 0
    assert sum(found["errors"].values()) == 3
