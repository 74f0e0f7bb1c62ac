"""services, workloads: who has joined, and whose heart beats."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane


def workload(name: str, **more: Any) -> dict[str, Any]:
    service, _, version = name.partition("-")
    found = {
        "id": name, "name": name, "service": service, "namespace": "default", "address": "127.0.1.9",
        "labels": {"version": version} if version else {}, "healthy": True, "connected": True, "state": "healthy",
        "problem": "", "probe": "", "joined": time.time() - 370, "since": 0.0, "beat": time.time() - 250,
    }  # fmt: skip
    return {**found, **more}


FAILING = {"state": "unhealthy", "healthy": False, "problem": "http :9080/health: status 503", "address": "127.0.1.10"}


def test_workloads(mesh: Mesh, plane: FakeControlPlane) -> None:
    items = [workload("reviews-v1"), workload("reviews-v2", **FAILING), workload("reviews-v1", namespace="other")]
    plane.on("GET /api/v1/workloads", {"items": items})
    lines = mesh("workloads", "-n", "default").out.splitlines()
    assert lines[0].split() == ["SERVICE", "NAMESPACE", "VERSION", "ADDRESS", "HEALTH", "JOINED", "BEAT"]
    assert lines[1].split() == ["reviews", "default", "v1", "127.0.1.9", "healthy", "6m", "4m"]
    assert lines[2].split()[4] == "unhealthy"
    assert lines[3:] == ["reviews-v2: http :9080/health: status 503"]
    assert len(json.loads(mesh("workloads", "-o", "json").out)) == 3


def test_services(mesh: Mesh, plane: FakeControlPlane) -> None:
    lost = {"state": "lost", "connected": False, "beat": time.time() - 320}
    items = [workload("reviews-v1"), workload("reviews-v2", **FAILING), workload("reviews-v3", **lost)]
    plane.on("GET /api/v1/workloads", {"items": [*items, workload("ratings-v1"), workload("", service="")]})
    lines = mesh("services").out.splitlines()
    assert lines[0].split() == ["SERVICE", "NAMESPACE", "VERSIONS", "HEALTHY", "MISSING", "JOINED", "BEAT"]
    assert lines[1].split() == ["ratings", "default", "v1", "1", "of", "1", "-", "6m", "4m"]
    assert " ".join(lines[2].split()) == "reviews default v1, v2, v3 1 of 3 1 lost, 1 unhealthy 6m 5m"
    assert max(map(len, lines)) <= 80
    assert json.loads(mesh("services", "-o", "json").out)[1]["missing"] == {"lost": 1, "unhealthy": 1}


def test_nobody(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/workloads", {"items": []})
    assert "no workload has joined yet" in mesh("services").err
