"""Configuration through a real process: refused whole or accepted whole, watched, from a folder."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from tests.harness.process import http_get
from tests.integration.control_plane.support import ControlPlane
from tests.unit.control_plane.samples import route, text


def problems(plane: ControlPlane) -> list[str]:
    return [problem["file"] for problem in plane.call("GET", "/api/v1/status").body["problems"]]


@pytest.fixture(params=["sqlite", "dir"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/mesh.db"
    (tmp_path / "config").mkdir()
    return f"dir://{tmp_path}/config"


def test_the_life_of_a_configuration(store: str, tmp_path: Path) -> None:
    with ControlPlane(store, tmp_path) as plane:
        watcher = http.client.HTTPConnection("127.0.0.1", plane.http, timeout=10)
        watcher.request("GET", "/api/v1/watch?since=0")
        stream = watcher.getresponse()
        assert plane.apply(text(route("a"), route("b"))).body["revision"] == 1
        diff = plane.call("POST", "/api/v1/diff", {"files": [{"name": "x", "text": text(route("a", "v2"))}]})
        assert "subset: v2" in diff.body["diffs"][0]["diff"]
        assert plane.apply(text(route("a", "v2"))).body["revision"] == 2
        bad = {**route("a", "v3"), "spec": {"hosts": ["a"], "htp": []}}
        refused = plane.apply(text(route("c"), bad))
        assert refused.status == 422
        (error,) = refused.body["errors"]
        assert (error["file"], error["field"], error["line"] > 0) == ("test.yaml", "spec.htp", True)
        assert plane.documents() == [route("a", "v2"), route("b")]
        assert plane.call("GET", "/api/v1/convergence/2?timeout=5").body["state"] == "converged"
        plane.call("DELETE", "/api/v1/resources/VirtualService/default/b")
        assert plane.call("POST", "/api/v1/rollback", {"revision": 1}).body["revision"] == 4
        assert plane.documents() == [route("a"), route("b")]
        actions = [item["action"] for item in plane.call("GET", "/api/v1/history").body["items"]]
        assert sorted(actions) == sorted(["created"] * 3 + ["configured"] * 2 + ["deleted"])
        seen = [json.loads(stream.readline()) for _ in range(6)]
        assert [event["revision"] for event in seen] == [1, 1, 2, 3, 4, 4]
        watcher.close()


def test_a_file_that_is_broken_keeps_its_last_good_version(tmp_path: Path) -> None:
    root = tmp_path / "config"
    root.mkdir()
    (root / "routes.yaml").write_text(text(route("a"), route("b")))
    with ControlPlane(f"dir://{root}", tmp_path) as plane:
        assert plane.documents() == [route("a"), route("b")]
        (root / "routes.yaml").write_text(text(route("a", "v2")) + "---\nkind: [\n")
        plane.until(lambda: problems(plane) == ["routes.yaml"], "the broken file reported")
        assert plane.documents() == [route("a"), route("b")]
        assert "mesh_config_problems 1.0" in http_get(plane.metrics, "/metrics")[1]
        refused = plane.apply(text(route("a", "v3")))
        assert refused.status == 409
        assert "mend it first" in refused.body["errors"][0]["message"]
        plane.kill()
        plane.start()
        assert plane.documents() == [route("a"), route("b")]
        assert problems(plane) == ["routes.yaml"]
        (root / "routes.yaml").write_text(text(route("a", "v2")))
        plane.until(lambda: not problems(plane), "the mended file")
        assert plane.documents() == [route("a", "v2")]


def test_logs_as_json(tmp_path: Path) -> None:
    with ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path, "--log-format", "json") as plane:
        plane.apply(text(route("a")))
        lines = [line for line in plane.process.log_path.read_text().splitlines() if line.startswith("{")]
        assert any("revision 1" in json.loads(line)["message"] for line in lines)
