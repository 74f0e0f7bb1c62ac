"""`mesh doctor`: its lines and its exit code."""

from __future__ import annotations

import json

import pytest

from mesh.doctor import facts
from mesh.doctor.facts import Facts
from mesh.version import VERSION
from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane

STATUS = {"version": VERSION, "revision": 7, "resources": 3, "services": 2, "problems": []}


@pytest.fixture(autouse=True)
def good_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "gather", lambda _ports: Facts(localhost=("127.0.0.1",), descriptors=20000))


def test_a_mesh_that_is_well(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/status", STATUS)
    plane.on("GET /api/v1/proxies", {"items": []})
    result = mesh("doctor")
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == f"ok    control plane {plane.url}, revision 7, 3 resources, 2 services"
    assert "warn  proxies       none has connected yet" in lines
    assert "                    → mesh run --service NAME --port PORT -- COMMAND" in lines
    assert max(map(len, lines)) <= 80


def test_no_control_plane(mesh: Mesh) -> None:
    result = mesh("doctor", "--server", "http://127.0.0.1:1")
    assert result.code == 1
    assert result.out.startswith("fail  control plane http://127.0.0.1:1 does not answer: connection refused\n")


def test_something_else_answers(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/status", {"hello": "world"})
    result = mesh("doctor", "-o", "json")
    assert result.code == 1
    (first, *_) = json.loads(result.out)
    assert (first["name"], first["verdict"]) == ("control plane", "fail")
    assert "it has no status" in first["message"]
