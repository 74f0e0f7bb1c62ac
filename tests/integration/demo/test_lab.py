"""Every lesson on a running demo: not solved when it begins, solved by its hint, and everything as it was afterwards."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.demo.stack import MESH, ROOT, Demo

pytestmark = pytest.mark.long


def service(host: str, *http: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": host},
        "spec": {"hosts": [host], "http": list(http)},
    }


def to(host: str, *subsets: str, weights: tuple[int, ...] = (), **more: Any) -> dict[str, Any]:
    targets: list[dict[str, Any]] = [
        {"destination": {"host": host, **({"subset": each} if each else {})}} for each in subsets
    ]
    for target, weight in zip(targets, weights, strict=False):
        target["weight"] = weight
    return {"route": targets, **more}


def example(name: str) -> Any:
    return next(yaml.safe_load_all((ROOT / "examples" / "bookinfo" / "networking" / name).read_text()))


REFUSING = {"at": "upstream", "abort": {"httpStatus": 503, "percentage": {"value": 40}}}
SLOW = {"at": "upstream", "delay": {"fixedDelay": "7s", "percentage": {"value": 100}}}
JASON = [{"headers": {"end-user": {"exact": "jason"}}}]
QUICK = {
    "apiVersion": "mesh.asyncmesh.io/v1alpha1",
    "kind": "Experiment",
    "metadata": {"name": "reviews-v3"},
    "spec": {
        "target": {"host": "reviews"},
        "baseline": {"subset": "v1"},
        "candidate": {"subset": "v3"},
        "strategy": {"canary": {"steps": [{"weight": 50, "duration": "1s"}]}},
        "checks": [{"errorShare": {"max": 40}}],
        "interval": "500ms",
    },
}
SOLUTIONS = {
    "split": [service("reviews", to("reviews", "v1", "v2", weights=(80, 20)))],
    "headers": [service("reviews", to("reviews", "v2", match=JASON), to("reviews", "v1"))],
    "retries": [
        service(
            "ratings", to("ratings", "", fault=REFUSING, retries={"attempts": 5, "retryOn": "5xx", "backoff": "1ms"})
        )
    ],
    "timeouts": [service("reviews", to("reviews", "v2", timeout="0.5s"))],
    "breaker": [example("ratings-three-state-breaker.yaml")],
    "ejection": [example("reviews-circuit-breaker.yaml")],
    "faults": [service("ratings", to("ratings", "", fault={"abort": REFUSING["abort"]}))],
    "canary": [QUICK],
}


@pytest.mark.complaint(24)
@pytest.mark.parametrize("lesson", SOLUTIONS)
def test_a_lesson(demo: Demo, tmp_path: Path, lesson: str) -> None:
    def lab(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "MESH_SERVER": demo.server, "XDG_STATE_HOME": str(tmp_path)}
        env["MESH_GATEWAY"] = f"http://{demo.address}:{demo.port}"
        words = (*MESH, "lab", *words)
        return subprocess.run(words, capture_output=True, text=True, timeout=110, env=env, cwd=ROOT)

    before = [each["document"] for each in demo.plane.resources()]
    begun = lab("start", lesson)
    assert begun.returncode == 0, begun.stderr
    assert "Task:" in begun.stdout
    early = lab("check", lesson)
    assert early.returncode == 1 and "not yet" in early.stdout, early.stdout + early.stderr
    demo.apply(yaml.safe_dump_all(SOLUTIONS[lesson]))
    if lesson == "canary":
        demo.mesh("experiment", "watch", "reviews-v3", "--no-tui")
    done = lab("check", lesson, "--hint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "solved" in done.stdout and "Hint:" in done.stdout
    assert lab("stop").returncode == 0
    after = [each["document"] for each in demo.plane.resources() if each["document"]["kind"] != "ExperimentRun"]
    assert after == before
