"""examples/experiments/chaostoolkit.json against a running demo: each of its HTTP calls does what chaostoolkit expects.

Read as chaostoolkit reads its `http` provider, by its documentation; `chaos run` itself is used where it is installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from string import Template
from typing import Any

import pytest

from tests.harness.process import wait_until
from tests.integration.demo.stack import ROOT, Demo

pytestmark = pytest.mark.long

FILE = ROOT / "examples" / "experiments" / "chaostoolkit.json"


def environment(demo: Demo) -> dict[str, str]:
    return {"MESH_SERVER": demo.server, "MESH_PAGE": f"http://{demo.address}:{demo.port}/productpage"}


def call(activity: dict[str, Any], values: dict[str, str]) -> tuple[int, str]:
    provider = activity["provider"]
    assert provider["type"] == "http"
    body = json.dumps(provider["arguments"]).encode() if "arguments" in provider else None
    method, headers = provider.get("method", "GET"), provider.get("headers", {})
    url = Template(provider["url"]).substitute(values)
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=provider["timeout"]) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def tolerated(tolerance: Any, status: int, body: str) -> bool:
    if isinstance(tolerance, int):
        return status == tolerance
    if tolerance["type"] == "regex":
        return re.search(tolerance["pattern"], body) is not None
    assert (tolerance["type"], tolerance["path"][:2]) == ("jsonpath", "$.")
    return json.loads(body)[tolerance["path"][2:]] in tolerance["expect"]


def test_every_call_is_answered_as_expected(demo: Demo) -> None:
    given = json.loads(FILE.read_text())
    variables = environment(demo)
    values = {name: variables.get(each["key"], each["default"]) for name, each in given["configuration"].items()}
    for probe in given["steady-state-hypothesis"]["probes"]:
        assert tolerated(probe["tolerance"], *call(probe, values)), probe["name"]
    begin, *probes = given["method"]
    status, said = call(begin, values)
    assert status == 200, said
    try:
        wait_until(lambda: tolerated(probes[0]["tolerance"], *call(probes[0], values)), 120, "it is over")
        for probe in probes:
            assert tolerated(probe["tolerance"], *call(probe, values)), probe["name"]
    finally:
        for action in given["rollbacks"]:
            assert call(action, values)[0] == 200
    wait_until(lambda: not demo.plane.resources("ExperimentRun"), 10, "no experiment is left")


@pytest.mark.skipif(shutil.which("chaos") is None, reason="needs chaostoolkit")
def test_chaostoolkit_itself(demo: Demo, tmp_path: Path) -> None:
    env = {**os.environ, **environment(demo), "MESH_SECONDS": "60"}
    done = subprocess.run(
        ["chaos", "run", str(FILE)], capture_output=True, text=True, timeout=200, env=env, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    journal = json.loads((tmp_path / "journal.json").read_text())
    assert (journal["status"], journal["deviated"]) == ("completed", False)
