"""The control plane's client: addresses, and what becomes of answers that are none."""

from __future__ import annotations

import socket
import threading

import pytest

from mesh.cli import client
from mesh.cli.client import ControlPlane, parse_server
from mesh.cli.errors import NO_ANSWER, UNREACHABLE, CliError, NoAnswerError, UnreachableError
from tests.harness.ports import free_port
from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:15080", ("127.0.0.1", 15080)),
        ("http://mesh.example", ("mesh.example", 15080)),
        ("mesh.example:99", ("mesh.example", 99)),
        ("127.0.0.1", ("127.0.0.1", 15080)),
        ("http://[::1]:8/", ("::1", 8)),
    ],
)
def test_parse_server(text: str, expected: tuple[str, int]) -> None:
    assert parse_server(text) == expected


@pytest.mark.parametrize("text", ["https://x:1", "http://x:nine", "http://:80", "", "http://x:99999"])
def test_parse_server_refuses(text: str) -> None:
    with pytest.raises(CliError, match="expected http://HOST:PORT"):
        parse_server(text)


def test_nobody_there(mesh: Mesh) -> None:
    result = mesh("get", "--server", f"http://127.0.0.1:{free_port()}")
    assert result.code == 3
    assert "connection refused" in result.err
    assert "mesh demo" in result.err
    assert "MESH_SERVER" in result.err


def test_a_proxy_in_the_environment_does_not_come_between(
    monkeypatch: pytest.MonkeyPatch, plane: FakeControlPlane
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    plane.on("GET /api/v1/workloads", {"items": []})
    assert ControlPlane(plane.url).workloads() == []


def test_somebody_else_there(plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/proxies", {"hello": "world"})
    with pytest.raises(CliError, match="not a mesh control plane"):
        ControlPlane(plane.url).proxies()
    plane.on("GET /api/v1/proxies", "<html>", 200)
    with pytest.raises(CliError, match="answered 200"):
        ControlPlane(plane.url).proxies()


def test_ready(plane: FakeControlPlane) -> None:
    control_plane = ControlPlane(plane.url)
    assert not control_plane.ready()
    plane.on("GET /readyz", "ok")
    assert control_plane.ready()


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(UnreachableError, match=r"unknown host|no answer|Temporary failure"):
        ControlPlane("http://nobody.invalid:1").workloads()


@pytest.mark.fault(15)
def test_nobody_there_and_no_answer_are_two_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CHANGE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(NoAnswerError, match=r"gave no answer: after 0\.2 s") as caught:
            ControlPlane(f"http://127.0.0.1:{port}").apply([{"name": "a", "text": ""}])
        assert caught.value.code == NO_ANSWER
        assert any("mesh history" in hint for hint in caught.value.hints)
    with pytest.raises(UnreachableError, match="connection refused") as refused:
        ControlPlane(f"http://127.0.0.1:{port}").apply([{"name": "a", "text": ""}])
    assert refused.value.code == UNREACHABLE


@pytest.mark.fault(15)
def test_an_answer_that_breaks_off_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closing = threading.Thread(target=lambda: server.accept()[0].close())
        closing.start()
        with pytest.raises(NoAnswerError):
            ControlPlane(f"http://127.0.0.1:{server.getsockname()[1]}").workloads()
        closing.join()
