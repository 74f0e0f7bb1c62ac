"""apply, get, delete, diff, history, rollback: what they ask for, what they print, how they end."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml

from mesh.istio.kinds import KINDS
from tests.unit.mesh.cli.conftest import Mesh
from tests.unit.mesh.cli.fake_server import FakeControlPlane

DOCUMENT = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews", "namespace": "default"},
    "spec": {
        "hosts": ["reviews"],
        "http": [
            {
                "route": [
                    {"destination": {"host": "reviews", "subset": "v1"}, "weight": 90},
                    {"destination": {"host": "reviews", "subset": "v2"}, "weight": 10},
                ]
            }
        ],
    },
}
APPLIED = {
    "revision": 7,
    "results": [{"kind": "VirtualService", "namespace": "default", "name": "reviews", "action": "configured"}],
}


@pytest.fixture
def route(tmp_path: Path) -> Path:
    path = tmp_path / "route.yaml"
    path.write_text(yaml.safe_dump(DOCUMENT))
    return path


def test_apply_sends_the_files_as_they_are(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    plane.on("POST /api/v1/apply", APPLIED)
    result = mesh("apply", "-f", str(route))
    assert (result.code, result.out) == (0, "virtualservice/reviews configured\n")
    assert plane.asked == [("POST", "/api/v1/apply", {"files": [{"name": str(route), "text": route.read_text()}]})]


def test_apply_reads_a_folder_in_order_and_standard_input(
    mesh: Mesh, plane: FakeControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "notes.txt", "deep/d.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr("sys.stdin", io.StringIO("from: stdin"))
    plane.on("POST /api/v1/apply", {"revision": 1, "results": []})
    mesh("apply", "-f", str(tmp_path), "-f", "-")
    mesh("apply", "-R", "-f", str(tmp_path))
    names = [[Path(file["name"]).name for file in body["files"]] for _, _, body in plane.asked]
    assert names == [["a.yml", "b.yaml", "c.json", "stdin"], ["a.yml", "b.yaml", "c.json", "d.yaml"]]


def test_apply_prints_every_problem_of_a_refused_file(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    problem = {"file": "route.yaml", "line": 9, "field": "spec.http[0].route[0].wieght", "message": "unknown field"}
    plane.on("POST /api/v1/apply", {"errors": [problem, {"message": "second"}]}, 422)
    result = mesh("apply", "-f", str(route))
    assert result.code == 1
    assert "route.yaml:9: spec.http[0].route[0].wieght: unknown field" in result.err
    assert "second" in result.err
    assert "nothing was changed" in result.err


def test_apply_wait_prints_how_long_it_took(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    plane.on("POST /api/v1/apply", APPLIED)
    plane.on(
        "GET /api/v1/convergence/7",
        {"revision": 7, "state": "converged", "affected": 3, "acked": 3, "seconds": 0.123, "nacks": []},
    )
    result = mesh("apply", "--wait", "--timeout", "4", "-f", str(route))
    assert (result.code, result.out.splitlines()[-1]) == (0, "in effect on 3 of 3 proxies after 0.12 s")
    assert plane.asked[-1][1] == "/api/v1/convergence/7?timeout=4"


def test_apply_wait_fails_with_a_proxys_reason(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    nack = {"proxy": "reviews-v1.default", "type": "RDS", "resource": "9080", "message": "bad route"}
    plane.on("POST /api/v1/apply", APPLIED)
    plane.on(
        "GET /api/v1/convergence/7",
        {"revision": 7, "state": "nacked", "affected": 3, "acked": 2, "seconds": 0.1, "nacks": [nack]},
    )
    result = mesh("apply", "-w", "-f", str(route))
    assert result.code == 1
    assert "reviews-v1.default: RDS 9080: bad route" in result.err


def test_apply_wait_says_who_is_behind(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    plane.on("POST /api/v1/apply", APPLIED)
    plane.on(
        "GET /api/v1/convergence/7",
        {"revision": 7, "state": "pending", "affected": 3, "acked": 2, "seconds": 10, "nacks": []},
    )
    result = mesh("apply", "-w", "-f", str(route))
    assert result.code == 1
    assert "2 of 3 proxies" in result.err
    assert "mesh proxy-status" in result.err


def test_dry_run_does_not_wait(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    plane.on("POST /api/v1/apply", APPLIED)
    result = mesh("apply", "--dry-run", "--wait", "-f", str(route))
    assert result.code == 0
    assert "nothing changed" in result.out
    assert [body["dry_run"] for _, _, body in plane.asked] == [True]


def test_files_that_are_not_there(mesh: Mesh, plane: FakeControlPlane, tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9")
    (tmp_path / "empty").mkdir()
    for name, reason in (
        ("nowhere.yaml", "No such file"),
        ("empty", "has no .yaml"),
        ("latin.yaml", "is not UTF-8"),
    ):
        result = mesh("apply", "-f", str(tmp_path / name))
        assert result.code == 1
        assert reason in result.err
    assert plane.asked == []


def test_get_shows_a_table(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/resources", {"revision": 7, "items": [{"revision": 7, "created": 0, "document": DOCUMENT}]})
    status = {"kind": "VirtualService", "namespace": "default", "name": "reviews", "summary": "in effect on 3 of 3"}
    plane.on("GET /api/v1/status/resources", {"revision": 7, "items": [status]})
    result = mesh("get", "vs")
    assert [line.split()[0] for line in result.out.splitlines()] == ["NAME", "reviews"]
    assert "v1 90 %, v2 10 %" in result.out
    assert "in effect on 3 of 3" in result.out
    assert plane.asked[0][1] == "/api/v1/resources?kind=VirtualService"


def test_get_one_prints_the_document(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/resources", {"revision": 7, "items": [{"revision": 7, "created": 0, "document": DOCUMENT}]})
    assert yaml.safe_load(mesh("get", "vs", "reviews", "-o", "yaml").out) == DOCUMENT
    assert json.loads(mesh("get", "vs/reviews", "-n", "default", "-o", "json").out) == DOCUMENT
    assert plane.asked[-1][1] == "/api/v1/resources?kind=VirtualService&namespace=default&name=reviews"


def test_get_says_what_is_missing(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("GET /api/v1/resources", {"revision": 7, "items": []})
    plane.on("GET /api/v1/status/resources", {"revision": 7, "items": []})
    assert mesh("get", "dr").code == 0
    result = mesh("get", "dr", "reviews", "-n", "prod")
    assert (result.code, result.out) == (1, "")
    assert "there is no DestinationRule reviews in namespace prod" in result.err


def test_delete_by_name_and_by_file(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    gone = {"revision": 8, "results": [{**APPLIED["results"][0], "action": "deleted"}]}  # type: ignore[index, dict-item]
    plane.on("DELETE /api/v1/resources/VirtualService/default/reviews", gone)
    plane.on("POST /api/v1/delete", gone)
    assert mesh("delete", "vs", "reviews").out == "virtualservice/reviews deleted\n"
    assert mesh("delete", "-f", str(route)).out == "virtualservice/reviews deleted\n"


def test_delete_of_what_is_not_there_fails(mesh: Mesh, plane: FakeControlPlane) -> None:
    plane.on("DELETE /api/v1/resources/Gateway/default/x", {"errors": [{"message": "there is no Gateway x"}]}, 404)
    result = mesh("delete", "gw", "x")
    assert result.code == 1
    assert "there is no Gateway x" in result.err


@pytest.mark.parametrize("words", [(), ("vs",), ("all", "x"), ("vs", "a", "b"), ("vs", "a", "-f", "x.yaml")])
def test_delete_wants_one_thing(mesh: Mesh, plane: FakeControlPlane, words: tuple[str, ...]) -> None:
    assert mesh("delete", *words).code == 2
    assert plane.asked == []


@pytest.mark.parametrize(("text", "code"), [("", 0), ("--- a\n+++ b\n-x\n+y\n", 1)])
def test_diff_exits_as_diff_does(mesh: Mesh, plane: FakeControlPlane, route: Path, text: str, code: int) -> None:
    plane.on(
        "POST /api/v1/diff",
        {"diffs": [{"kind": "VirtualService", "namespace": "default", "name": "reviews", "diff": text}]},
    )
    result = mesh("diff", "-f", str(route))
    assert (result.code, result.out) == (code, text)


def test_diff_of_a_bad_file_is_2(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    plane.on("POST /api/v1/diff", {"errors": [{"message": "bad"}]}, 422)
    assert mesh("diff", "-f", str(route)).code == 2


def test_history_and_rollback(mesh: Mesh, plane: FakeControlPlane) -> None:
    change = {
        "revision": 7, "time": 1.0, "action": "configured", "kind": "VirtualService", "namespace": "default",
        "name": "reviews", "document": DOCUMENT,
    }  # fmt: skip
    plane.on("GET /api/v1/history", {"items": [change]})
    plane.on("POST /api/v1/rollback", APPLIED)
    assert mesh("history", "vs", "reviews", "--limit", "5").out.splitlines()[1].split()[0] == "7"
    assert plane.asked[-1][1] == "/api/v1/history?kind=VirtualService&name=reviews&limit=5"
    assert mesh("rollback", "6").out == "virtualservice/reviews configured\n"
    assert plane.asked[-1][2] == {"revision": 6}


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("DestinationRule", {"host": "reviews", "subsets": [{"name": "v1"}, {"name": "v2"}]}, "reviews subsets v1, v2"),
        ("Gateway", {"servers": [{"port": {"number": 8080, "protocol": "HTTP"}}]}, "8080/HTTP"),
        ("ServiceEntry", {"hosts": ["a.example"], "resolution": "STATIC"}, "a.example STATIC"),
        ("WorkloadEntry", {"address": "10.0.0.1"}, "10.0.0.1"),
        ("Service", {"ports": [{"name": "http", "port": 9080}]}, "9080/http"),
        ("VirtualService", {"hosts": ["a"], "gateways": ["g"], "http": [{"redirect": {}}]}, "a via g"),
        (
            "VirtualService",
            {"hosts": ["a"], "http": [{}, {"route": [{"destination": {"host": "b"}}]}]},
            "a → b (+1 more)",
        ),
    ],
)
def test_summary(kind: str, spec: dict[str, object], expected: str) -> None:
    assert KINDS[kind].summary(spec) == expected


@pytest.mark.fault(22)
def test_apply_warns_and_tells_what_it_passed_over(mesh: Mesh, plane: FakeControlPlane, route: Path) -> None:
    found = {
        "code": "IST0101", "name": "ReferencedResourceNotFound", "level": "Error", "kind": "VirtualService",
        "namespace": "default", "resource": "reviews", "field": "spec.http[0].route[0].destination.host",
        "message": 'Referenced host not found: "nobody"', "file": "route.yaml", "line": 9,
    }  # fmt: skip
    skipped = [{"file": "route.yaml", "line": 20, "message": "Job of batch/v1 is no kind of this mesh: skipped"}]
    plane.on("POST /api/v1/apply", {**APPLIED, "findings": [found], "skipped": skipped})
    result = mesh("apply", "--strict", "--skip-unknown", "-f", str(route))
    assert (result.code, result.out) == (0, "virtualservice/reviews configured\n")
    assert result.err.splitlines() == [
        "note: route.yaml:20: Job of batch/v1 is no kind of this mesh: skipped",
        'error: route.yaml:9: spec.http[0].route[0].destination.host: [IST0101] Referenced host not found: "nobody"',
    ]
    assert {name: plane.asked[-1][2].get(name) for name in ("strict", "skip_unknown")} == {
        "strict": True,
        "skip_unknown": True,
    }
