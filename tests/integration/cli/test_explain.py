"""`mesh explain` on files: the example's own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RULES = ROOT / "examples" / "bookinfo" / "networking"
ALL = ("services.yaml", "destination-rules.yaml")
URL = "http://reviews:9080/reviews/0"


def explain(*arguments: str, files: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    names = [part for name in files for part in ("-f", str((RULES / name).relative_to(ROOT)))]
    command = [sys.executable, "-m", "mesh.cli.main", "explain", *arguments, *names]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_20_why_was_this_route_taken() -> None:
    """Of the complaints that users of meshes have: the effective configuration, and why a route was taken."""
    asked = ("GET", URL, "-H", "end-user: jason", "--from", "productpage")
    done = explain(*asked, files=(*ALL, "reviews-jason-v2.yaml"))
    assert done.returncode == 0 and not done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("rule 1") and "√ any path and header end-user is 'jason'" in line for line in lines)
    assert "examples/bookinfo/networking/reviews-jason-v2.yaml:12" in done.stdout
    assert lines[-1] == "→ sent to outbound|9080|v2|reviews.default.svc.cluster.local"


def shown(page: str) -> list[tuple[list[str], str]]:
    """The commands on files that the page shows, and what they print."""
    blocks = [block.partition("```")[0] for block in page.split("```\n$ mesh explain ")[1:]]
    runs = [re.sub(r"\\\n\s*", " ", block).partition("\n") for block in blocks]
    return [(shlex.split(words), output) for words, _, output in runs if " -f " in words]


@pytest.mark.parametrize(("page", "folder", "count"), [("explain.md", RULES, 2), ("rules.md", ROOT, 1)])
def test_the_page_shows_what_it_prints(page: str, folder: Path, count: int) -> None:
    runs = shown((ROOT / "docs" / page).read_text())
    assert len(runs) == count
    for words, output in runs:
        command = [sys.executable, "-m", "mesh.cli.main", "explain", *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, env=env)
        assert done.stdout == output, done.stderr


def test_the_condition_that_failed() -> None:
    done = explain(URL, "--from", "productpage:v1", "-o", "json", files=(*ALL, "reviews-jason-v2.yaml"))
    data = json.loads(done.stdout)
    first, second = (step for step in data["steps"] if step["station"].startswith("rule"))
    assert first["passed"] is False and first["says"] == "header end-user is 'jason': the request has none"
    assert second["passed"] and second["origin"]["field"] == "spec.http[1]"
    assert data["clusters"] == {"outbound|9080|v3|reviews.default.svc.cluster.local": 1.0}


def test_05_a_missing_subset_is_named() -> None:
    """Of the complaints: a route to a missing subset gives 503 NC without a hint."""
    done = explain(URL, "--from", "productpage", files=("services.yaml", "reviews-jason-v2.yaml"))
    assert "answered 503 NC" in done.stdout
    assert "has a subset v3" in done.stdout
    assert "reviews-jason-v2.yaml:19" in done.stdout


def test_through_the_gateway() -> None:
    files = ("services.yaml", "gateway.yaml")
    done = explain("http://127.0.0.1:8080/productpage", "--gateway", files=files)
    assert done.stdout.splitlines()[-1] == "→ sent to outbound|9080||productpage.default.svc.cluster.local"
    assert "rule 2          √ path is /productpage" in done.stdout
    done = explain("http://127.0.0.1:8080/admin", "--gateway", files=files)
    assert "answered 404 NR" in done.stdout and "none is for this request" in done.stdout


def test_policies_with_their_places() -> None:
    done = explain(URL, "--from", "productpage", files=("services.yaml", "reviews-timeout.yaml"))
    assert "timeout           0.5 s\n" in done.stdout
    assert "reviews-timeout.yaml:14 spec.http[0].timeout" in " ".join(done.stdout.split())


def test_what_is_wrong_with_the_question() -> None:
    assert "who asks? --from SERVICE" in explain(URL).stderr
    done = explain("GET", URL, "-H", "nonsense", "--from", "x")
    assert done.returncode == 2 and "expected NAME: VALUE" in done.stderr
    assert "is no method" in explain("http://a", "http://b", "--from", "x").stderr


def test_a_file_with_an_error_is_refused_with_its_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {host: a}\n"
    )
    done = explain(URL, "--from", "productpage", "-f", str(broken))
    assert done.returncode == 1 and f"{broken}:4" in done.stderr.replace("\n", "")


SMALL_POOL = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: pair}
spec:
  hosts: [pair.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}, {address: 10.0.0.2}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: pair}
spec:
  host: pair.example.com
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 10}
"""


@pytest.mark.parametrize(("percent", "never"), [(10, True), (49, True), (50, False), (100, False)])
def test_11_outlier_detection_that_does_nothing(tmp_path: Path, percent: int, never: bool) -> None:
    """Of the complaints: outlier detection "does nothing": of two endpoints 10 % are none."""
    file = tmp_path / "pair.yaml"
    file.write_text(SMALL_POOL.replace("maxEjectionPercent: 10", f"maxEjectionPercent: {percent}"))
    done = explain("http://pair.example.com/", "--from", "client", "-f", str(file), "-o", "json")
    (cluster,) = (step for step in json.loads(done.stdout)["steps"] if step["station"] == "cluster")
    stations = {step["station"]: step for step in cluster["steps"]}
    assert ("no ejection" in stations) is never
    assert [step["says"] for step in cluster["steps"] if step["station"] == "endpoint"] == [
        "10.0.0.1:80, HEALTHY",
        "10.0.0.2:80, HEALTHY",
    ]
    if never:
        assert f"one of 2 is 50 %, over the {percent} %" in stations["no ejection"]["says"]
        assert stations["no ejection"]["origin"]["field"] == "spec.trafficPolicy.outlierDetection"


def test_10_a_fault_that_retries_do_not_see() -> None:
    """Of the complaints: faults together with retries have no effect. Where a fault is injected is said."""
    done = explain(
        "http://ratings:9080/", "-H", "end-user: jason", "--from", "reviews", files=(*ALL, "ratings-abort-jason.yaml")
    )
    assert "fault             all requests are answered 500 here" in done.stdout
    done = explain("http://ratings:9080/", "--from", "reviews", files=(*ALL, "ratings-abort-retried.yaml"))
    assert "placed at the upstream: its own sidecar injects it" in " ".join(done.stdout.split())


def test_a_caller_that_nobody_declares() -> None:
    done = explain(URL, "--from", "nosuch", files=ALL)
    assert done.returncode == 0
    assert "note: no file declares a service or workload nosuch in default" in done.stderr
    assert "no file declares" not in explain(URL, "--from", "productpage:v1", files=ALL).stderr
