"""Experiments and a lesson on the stack, from this machine: `mesh experiment` through the published port of the API, users
(`mesh load`) through the gateway's, numbers by the collector of the control plane's container."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.cli.client import ControlPlane
from tests.compose.stack import MESH, ROOT, Stack
from tests.harness.process import wait_until

RATE = 30.0
SLOW = "x-slow"  # requests that say so meet the slow twentieth
VERDICT_SECONDS = 180.0
ROUTE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "reviews-api"},
    "spec": {
        "hosts": ["*"],
        "gateways": ["bookinfo-gateway"],
        "http": [
            {
                "match": [{"uri": {"exact": "/reviews"}}],
                "rewrite": {"uri": "/health"},  # which asks no other service: v1 and v3 are equal in it
                "route": [{"destination": {"host": "reviews", "subset": "v1"}}],
            }
        ],
    },
}


def faulty(version: str, **fault: Any) -> dict[str, Any]:
    """A fault filter in the sidecar of one version, beside what the mesh has there."""
    value = {
        "name": "of-this-version",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault", **fault},
    }
    manager = {"filter": {"name": "envoy.filters.network.http_connection_manager"}}
    match = {"context": "SIDECAR_INBOUND", "listener": {"filterChain": manager}}
    patch = {"operation": "INSERT_FIRST", "value": value}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": f"reviews-{version}"},
        "spec": {
            "workloadSelector": {"labels": {"app": "reviews", "version": version}},
            "configPatches": [{"applyTo": "HTTP_FILTER", "match": match, "patch": patch}],
        },
    }


def percent(number: int) -> dict[str, Any]:
    return {"numerator": number, "denominator": "HUNDRED"}


def slow(seconds: str) -> dict[str, Any]:
    headers = [{"name": SLOW, "present_match": True}]
    return {"delay": {"fixed_delay": seconds, "percentage": percent(5)}, "headers": headers}


FAULTS = [
    faulty("v1", **slow("1.75s")),
    faulty("v2", abort={"http_status": 500, "percentage": percent(5)}),
    faulty("v3", **slow("2.625s")),
]


@pytest.fixture(scope="module")
def versions(stack: Stack) -> Iterator[Stack]:
    """v2 fails for one request in twenty; one in twenty is slow in v1 and slower by half in v3, if it asks for it."""
    plane = ControlPlane(f"http://127.0.0.1:{stack.api}")
    documents = [ROUTE, *FAULTS]
    revision = plane.apply([{"name": "versions.yaml", "text": yaml.safe_dump_all(documents)}])["revision"]
    assert plane.convergence(revision, 10)["state"] == "converged"
    yield stack
    for each in documents:
        plane.delete(each["kind"], "default", each["metadata"]["name"])


@pytest.fixture
def plane(versions: Stack) -> Iterator[ControlPlane]:
    """Nothing of an experiment is left of a test."""
    plane = ControlPlane(f"http://127.0.0.1:{versions.api}")
    yield plane
    for each in plane.resources("Experiment"):
        plane.delete("Experiment", "default", each["document"]["metadata"]["name"])
    wait_until(lambda: not plane.resources("ExperimentRun"), 20, "no experiment is left")
    plane.apply([{"name": "route.yaml", "text": yaml.safe_dump(ROUTE)}])


@contextmanager
def users(stack: Stack, rate: float, *more: str) -> Iterator[list[dict[str, Any]]]:
    """Requests through the gateway until the block ends; what they saw is in the list afterwards."""
    seen: list[dict[str, Any]] = []
    url = f"http://127.0.0.1:{stack.gateway}/reviews"
    command = [*MESH, "load", url, "--rate", f"{rate:g}", "--duration", "900", "-o", "json", *more]
    command += ["--timeout", "60"]  # of a machine that twenty containers keep busy
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield seen
    finally:
        child.terminate()
        out, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
        seen.append(json.loads(out)["all"])


def experiment(name: str, candidate: str, **spec: Any) -> str:
    document = {
        "apiVersion": "mesh.asyncmesh.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "target": {"host": "reviews", "virtualService": "reviews-api"},
            "baseline": {"subset": "v1"},
            "candidate": {"subset": candidate},
            "strategy": {"canary": {"steps": [{"weight": 10, "duration": "5s"}, {"weight": 50, "duration": "5s"}]}},
            "checks": [{"errorIncrease": {"max": 1}}],
            "interval": "1s",
            "warmUp": "3s",
            "maxDuration": "3m",
            **spec,
        },
    }
    return yaml.safe_dump(document)


def run(stack: Stack, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """`mesh experiment run`, to its end."""
    file = folder / "experiment.yaml"
    file.write_text(text)
    words = [*MESH, "experiment", "run", str(file), "--no-tui"]
    return subprocess.run(
        words, capture_output=True, text=True, timeout=VERDICT_SECONDS + 60, cwd=ROOT, env=stack.environment
    )


def destinations(plane: ControlPlane) -> list[str]:
    found = plane.resources("VirtualService", "default", "reviews-api")[0]["document"]["spec"]["http"]
    return [each["destination"]["subset"] for each in found[0]["route"]]


def test_an_equal_version_is_promoted(versions: Stack, plane: ControlPlane, tmp_path: Path) -> None:
    checks = [{"errorIncrease": {"max": 1}}, {"latencyRatio": {"quantile": 0.5, "max": 4}}]
    with users(versions, RATE) as seen:
        done = run(versions, tmp_path, experiment("equal", "v3", checks=checks))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promoted: every check holds" in done.stdout
    assert destinations(plane) == ["v3"]
    assert seen[0]["succeeded"] == seen[0]["requests"] > 0, seen[0]
    report = versions.mesh("experiment", "report", "equal")
    assert report.startswith("<!doctype html>") and "promoted" in report


def test_a_version_that_fails_is_rolled_back_and_few_users_saw_it(
    versions: Stack, plane: ControlPlane, tmp_path: Path
) -> None:
    canary = {"steps": [{"weight": 10, "duration": "2m"}, {"weight": 50, "duration": "5s"}]}
    with users(versions, RATE) as seen:
        done = run(versions, tmp_path, experiment("fails", "v2", strategy={"canary": canary}))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rolled back: errors ≤ baseline + 1 points does not hold" in done.stdout
    assert destinations(plane) == ["v1"]
    assert 0 < 1 - seen[0]["succeeded"] / seen[0]["requests"] < 0.01, seen[0]


def test_a_slower_version_is_rolled_back(versions: Stack, plane: ControlPlane, tmp_path: Path) -> None:
    canary = {"steps": [{"weight": 50, "duration": "1m"}]}
    checks = [{"errorIncrease": {"max": 1}}, {"latencyRatio": {"quantile": 0.99, "max": 1.2}}]
    with users(versions, RATE, "-H", f"{SLOW}: yes") as seen:
        done = run(versions, tmp_path, experiment("slow", "v3", strategy={"canary": canary}, checks=checks))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "rolled back: p99 ≤ 1.2 × baseline does not hold" in done.stdout
    assert destinations(plane) == ["v1"]
    assert seen[0]["succeeded"] == seen[0]["requests"], seen[0]


def test_low_traffic_is_not_enough_data_with_a_right_estimate(
    versions: Stack, plane: ControlPlane, tmp_path: Path
) -> None:
    """What it says is missing decides it, and half of that does not."""
    canary = {"steps": [{"weight": 50, "duration": "1s"}]}
    with users(versions, 10):
        text = experiment("few", "v3", strategy={"canary": canary}, checks=[{"errorIncrease": {"max": 3}}])
        plane.apply([{"name": "few.yaml", "text": text}])
        early = wait_until(lambda: seen_of(plane, "few", 30), 60, "some requests")
        assert early["verdict"] == "not enough data yet"
        assert f"{early['more']} more requests" in early["sentence"] and "at this rate" in early["sentence"]
        expected = early["candidate"]["requests"] + early["more"]
        wait_until(lambda: plane.experiment("default", "few")["phase"] == "promoted", VERDICT_SECONDS, "promoted")
    ended = plane.experiment("default", "few")["candidate"]["requests"]
    assert abs(ended - expected) <= 0.3 * expected


def seen_of(plane: ControlPlane, name: str, requests: int) -> dict[str, Any] | None:
    found: dict[str, Any] = plane.experiment("default", name)
    return found if found["phase"] == "running" and found["candidate"]["requests"] >= requests else None


def test_a_killed_container_is_started_again_when_whoever_killed_it_is_gone(
    versions: Stack, plane: ControlPlane, tmp_path: Path
) -> None:
    fault = {"processes": {"containers": ["ratings-v1"], "signal": "kill"}, "before": "3s", "duration": "2m"}
    text = experiment("frozen", "v1", target={"host": "reviews"}, strategy={"fault": fault}, maxDuration="5m")
    document = yaml.safe_load(text)
    del document["spec"]["baseline"], document["spec"]["candidate"]
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(document))

    def state() -> str:
        return versions.compose("ps", "--all", "--format", "{{.State}}", "ratings-v1").strip()

    words = [*MESH, "experiment", "run", str(file), "--no-tui"]
    with users(versions, 10), subprocess.Popen(words, cwd=ROOT, env=versions.environment) as runner:
        try:
            wait_until(lambda: state() == "exited", 90, "it is killed")
        finally:
            runner.kill()
    wait_until(lambda: state() == "running", 60, "it runs again")
    plane.experiment_action("default", "frozen", "stop")


def test_a_lesson_works_here_as_on_the_demo(versions: Stack, tmp_path: Path) -> None:
    environment = {**versions.environment, "XDG_STATE_HOME": str(tmp_path)}
    environment["MESH_GATEWAY"] = f"http://127.0.0.1:{versions.gateway}"

    def lab(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*MESH, "lab", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=110, cwd=ROOT, env=environment)

    assert lab("start", "headers").returncode == 0
    early = lab("check", "headers")
    assert early.returncode == 1 and "not yet" in early.stdout, early.stdout + early.stderr
    versions.apply("reviews-jason-v2.yaml")
    said = lab("check", "headers")
    assert said.returncode == 1 and "others got reviews v3" in said.stdout, said.stdout + said.stderr
    route = (ROOT / "examples" / "bookinfo" / "networking" / "reviews-jason-v2.yaml").read_text()
    (tmp_path / "solved.yaml").write_text(route.replace("subset: v3", "subset: v1"))
    versions.mesh("apply", "--wait", "-f", os.fspath(tmp_path / "solved.yaml"))
    done = lab("check", "headers")
    assert done.returncode == 0 and "solved" in done.stdout, done.stdout + done.stderr
    assert lab("stop").returncode == 0
    assert "jason" not in versions.mesh("get", "virtualservice", "-o", "json")
