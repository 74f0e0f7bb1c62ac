"""`mesh analyze` on files and on a control plane that runs, with a proxy that is connected."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.integration.control_plane.support import ControlPlane, proxy
from tests.simulation.worlds import sidecar

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "analyze.md"
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
"""
SELECTING = """\
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: ratings}
spec: {workloadSelector: {labels: {app: ratings}}, egress: [{hosts: ["./*"]}]}
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews, subset: v9}}]
"""


def mesh(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesh.cli.main", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def codes(result: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return [(each["code"], each["origin"]) for each in found]


def test_the_page_shows_what_it_prints() -> None:
    result = mesh("analyze", "-f", "examples/analyze/mistakes.yaml")
    assert result.returncode == 79
    shown = PAGE.read_text().partition("mistakes.yaml\n")[2].partition("```")[0]
    assert "".join(shown.split()) == "".join((result.stdout + result.stderr).split())
    assert max(map(len, PAGE.read_text().partition("|---|")[0].splitlines())) <= 84


def test_every_code_of_ours_is_explained() -> None:
    listed = re.findall(r"^(MESH\d+)", mesh("analyze", "-L").stdout, re.M)
    assert listed
    assert re.findall(r"^### (MESH\d+)$", PAGE.read_text(), re.M) == listed


async def test_a_running_mesh(tmp_path: Path) -> None:
    (tmp_path / "route.yaml").write_text(ROUTE)
    with ControlPlane(f"sqlite:///{tmp_path / 'mesh.db'}", tmp_path) as plane:
        server = f"http://127.0.0.1:{plane.http}"
        assert plane.apply(SERVICE + "---\n" + SELECTING).status == 200
        assert codes(mesh("analyze", "-o", "json", "--server", server)) == []
        async with proxy(plane.xds, sidecar("reviews")) as stream:
            await stream.read()  # the proxy is known
            live = mesh("analyze", "-o", "json", "--server", server)
            assert codes(live) == [("IST0127", "Sidecar default/ratings")]
            both = mesh("analyze", "--live", "-f", str(tmp_path / "route.yaml"), "-o", "json", "--server", server)
            assert ("IST0101", "VirtualService default/reviews") in codes(both)
            hidden = mesh("analyze", "-S", "IST0127=Sidecar *", "-o", "json", "--server", server)
            assert codes(hidden) == []
        # nothing was applied by looking
        assert [each["kind"] for each in plane.documents()] == ["Service", "Sidecar"]


def test_questions_that_make_no_sense(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite:///{tmp_path / 'mesh.db'}", tmp_path) as plane:
        for body in ({"suppress": ["IST0101"]}, {"suppress": "x"}, {"calls": {"a": "b"}}, {"files": "x"}, {"other": 1}):
            assert plane.call("POST", "/api/v1/analyze", body).status == 400
