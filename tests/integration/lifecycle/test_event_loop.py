"""Nothing that blocks is done on the event loop of either half, whatever is asked of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.harness.dns_server import Answer, Drop
from tests.harness.process import http_get
from tests.harness.upstream import Upstream
from tests.integration.control_plane.support import ControlPlane
from tests.integration.dns.proxies import cluster, proxy
from tests.unit.control_plane.samples import route, text

HOOK = Path(__file__).parents[2] / "harness" / "blocking"
# The kernel answers at once; there is no disk.
AT_ONCE = ("open '/proc/", "open '/dev/null'", "os.listdir '/proc/")
PAGES = ("/stats", "/stats/prometheus", "/clusters", "/config_dump", "/listeners", "/server_info", "/memory", "/ready")


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processes that are started from now on write down what blocks."""
    path = tmp_path / "blocking.txt"
    monkeypatch.setenv("PYTHONPATH", str(HOOK))
    monkeypatch.setenv("MESH_TEST_BLOCKING", str(path))
    path.touch()
    return path


def blocking(seen: Path) -> list[str]:
    return [line for line in seen.read_text().splitlines() if not line.startswith(AT_ONCE)]


async def test_the_sidecar(tmp_path: Path, seen: Path) -> None:
    zone = {"app.test": Answer("127.0.0.1"), "dead.test": Drop()}
    check = {
        "timeout": "1s",
        "interval": "0.1s",
        "unhealthy_threshold": 1,
        "healthy_threshold": 1,
        "http_health_check": {"path": "/"},
    }
    async with Upstream() as upstream:
        names = [
            cluster("app", "app.test", port=upstream.port, health_checks=[check], outlier_detection={}),
            cluster("dead", "dead.test"),
        ]
        async with proxy("ours", tmp_path, names, zone) as it:
            await it.until_looked_up("app", 2)
            for _ in range(5):
                await it.get("app")
                await it.get("dead")
            for page in PAGES:
                status, _ = await asyncio.to_thread(http_get, it.admin, page)
                assert status == 200, page
    assert blocking(seen) == []


async def test_the_control_plane(tmp_path: Path, seen: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path) as plane:
        for subset in ("v1", "v2"):
            files = {"files": [{"name": "route.yaml", "text": text(route(subset=subset))}]}
            assert plane.call("POST", "/api/v1/apply", files).status == 200
        assert plane.call("POST", "/api/v1/rollback", {"revision": 1}).status == 200
        for path in ("status", "resources", "proxies", "history", "workloads"):
            assert plane.call("GET", f"/api/v1/{path}").status == 200, path
        assert http_get(plane.metrics, "/metrics")[0] == 200
    assert blocking(seen) == []


def test_what_blocks_is_seen(tmp_path: Path, seen: Path) -> None:
    """The fixture itself."""
    import subprocess
    import sys

    code = "import asyncio, time\nasync def main(): time.sleep(0.001); open('/etc/hosts').close()\nasyncio.run(main())"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert [line.partition(" ")[0] for line in blocking(seen)] == ["time.sleep", "open"]
