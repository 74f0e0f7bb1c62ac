"""proxy-status: who has what it should have."""

from __future__ import annotations

from typing import Any

from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane

SYNCED = {"state": "SYNCED", "version": "a", "acked": "a", "error": "", "pushed_at": 1.0}
PROXY: dict[str, Any] = {
    "id": "sidecar~127.0.1.9~reviews-v1.default~default.svc.cluster.local",
    "name": "reviews-v1", "namespace": "default", "service": "reviews", "kind": "sidecar", "address": "127.0.1.9",
    "connected": True, "since": 1.0, "types": {"CDS": SYNCED, "LDS": SYNCED, "EDS": SYNCED},
}  # fmt: skip


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_proxy_status(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/proxies", {"items": [PROXY]})
    result = mesh("proxy-status")
    assert result.code == 0
    assert rows(result.out)[1][:5] == ["reviews-v1", "127.0.1.9", "SYNCED", "SYNCED", "SYNCED"]
    assert "NOT SENT" in result.out


def test_proxy_status_fails_when_a_proxy_refused(mesh: Mesh, plane: FakeControlPlane) -> None:
    nacked = {**PROXY, "types": {**PROXY["types"], "RDS": {**SYNCED, "state": "NACKED", "error": "bad route"}}}
    plane.on("GET /api/v1/proxies", {"items": [PROXY, nacked]})
    result = mesh("proxy-status")
    assert result.code == 1
    assert "NACKED" in result.out
    assert "reviews-v1.default: RDS: bad route" in result.err


def test_routes_are_what_their_virtual_hosts_are(mesh: Mesh, plane: FakeControlPlane) -> None:
    late = {**PROXY, "types": {**PROXY["types"], "RDS": SYNCED, "VHDS": {**SYNCED, "state": "STALE"}}}
    plane.on("GET /api/v1/proxies", {"items": [late]})
    assert mesh("proxy-status").out.split("\n")[1].split()[2:6] == ["SYNCED", "SYNCED", "SYNCED", "STALE"]
