"""`mesh analyze`: what it reads, prints and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane

RULE = """\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: nobody
spec:
  host: nobody
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: nobody
spec:
  hosts: [nobody]
  http:
  - route:
    - destination:
        host: nobody
"""
NO_SERVICE = "The host nobody defined in the DestinationRule does not match any services in the mesh."
NO_HOST = 'Referenced host not found: "nobody"'


@pytest.fixture
def warned(tmp_path: Path) -> str:
    (tmp_path / "rule.yaml").write_text(RULE)
    return str(tmp_path / "rule.yaml")


@pytest.fixture
def broken(tmp_path: Path) -> str:
    (tmp_path / "route.yaml").write_text(ROUTE)
    return str(tmp_path / "route.yaml")


def test_files_are_analysed_without_a_control_plane(mesh: Mesh, plane: FakeControlPlane, warned: str) -> None:
    result = mesh("analyze", "-f", warned)
    assert result.code == 0
    assert result.out == f"Warning [IST0174] (DestinationRule default/nobody {warned}:6) {NO_SERVICE}\n"
    assert plane.asked == []


def test_an_error_fails_as_with_istioctl(mesh: Mesh, broken: str) -> None:
    result = mesh("analyze", broken)
    assert result.code == 79
    assert result.out == f"Error [IST0101] (VirtualService default/nobody {broken}:10) {NO_HOST}\n"
    assert "analyzers found issues when analyzing" in result.err


def test_thresholds(mesh: Mesh, warned: str) -> None:
    assert mesh("analyze", "-f", warned, "--failure-threshold", "Warning").code == 79
    quiet = mesh("analyze", "-f", warned, "--output-threshold", "Error")
    assert (quiet.code, quiet.out) == (0, "")
    assert f"✔ No validation issues found when analyzing {warned}." in quiet.err


def test_other_forms_are_data(mesh: Mesh, broken: str) -> None:
    result = mesh("analyze", "-f", broken, "-o", "json")
    assert result.code == 0
    (found,) = json.loads(result.out)
    assert found == {
        "code": "IST0101",
        "documentationUrl": "https://istio.io/latest/docs/reference/config/analysis/ist0101/",
        "level": "Error",
        "message": NO_HOST,
        "origin": "VirtualService default/nobody",
        "reference": f"{broken}:10",
    }
    assert yaml.safe_load(mesh("analyze", "-f", broken, "-o", "yaml").out) == [found]


def test_suppression(mesh: Mesh, broken: str) -> None:
    assert mesh("analyze", broken, "-S", "IST0101=VirtualService *.default").code == 0
    assert mesh("analyze", broken, "-S", "IST0101=VirtualService *.other").code == 79
    unknown = mesh("analyze", broken, "-S", "IST9999=VirtualService *")
    assert "warning: IST9999 is no code that is looked for" in unknown.err
    wrong = mesh("analyze", broken, "-S", "IST0101")
    assert (wrong.code, "must be CODE=RESOURCE" in wrong.err) == (2, True)


def test_namespaces(mesh: Mesh, broken: str, tmp_path: Path) -> None:
    assert mesh("analyze", broken, "-n", "default").code == 79
    other = mesh("analyze", broken, "-n", "other")
    assert (other.code, other.out) == (0, "")
    assert mesh("analyze", broken, "-n", "other", "-A").code == 79
    (tmp_path / "bad.yaml").write_text("kind: VirtualService\nspec: {hots: [a]}\n")
    assert mesh("analyze", "-f", str(tmp_path / "bad.yaml"), "-n", "other").code == 79  # whose is it?


def test_a_file_that_cannot_be_understood(mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kind: VirtualService\nspec: {hots: [a]}\n")
    result = mesh("analyze", "-f", str(tmp_path))
    assert result.code == 79
    assert f"Error [IST0106] ({tmp_path}/bad.yaml:1) Schema validation error: apiVersion: is required" in result.out


def test_the_running_mesh_is_asked(mesh: Mesh, plane: FakeControlPlane, warned: str) -> None:
    found = {"code": "IST0127", "level": "Warning", "origin": "Sidecar default/a", "reference": "", "message": "No."}
    plane.on("POST /api/v1/analyze", {"findings": [found], "skipped": []})
    plane.on("GET /api/v1/proxies", {"items": []})
    result = mesh("analyze")
    assert (result.code, result.out) == (0, "Warning [IST0127] (Sidecar default/a) No.\n")
    mesh("analyze", "--live", "-f", warned, "-S", "IST0103=Service *")
    assert [body for method, _, body in plane.asked if method == "POST"] == [
        {"files": [], "suppress": [], "calls": {}},
        {"files": [{"name": warned, "text": RULE}], "suppress": ["IST0103=Service *"], "calls": {}},
    ]


def test_the_list_of_codes(mesh: Mesh) -> None:
    lines = mesh("analyze", "-L").out.splitlines()
    assert "IST0101    Error     ReferencedResourceNotFound" in lines
    assert "MESH0004   Warning   OutlierDetectionNeverEjects" in lines
