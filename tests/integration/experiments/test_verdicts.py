"""Experiments on real traffic: what is promoted, what is rolled back, and at whose cost."""

from __future__ import annotations

import json

from tests.harness.process import wait_until
from tests.integration.experiments.stage import Stage, experiment

RATE = 120.0


def test_an_equal_version_is_promoted_and_no_request_fails_for_it(stage: Stage) -> None:
    with stage.load(RATE) as seen:
        stage.behaviour["v1"].milliseconds = stage.behaviour["v3"].milliseconds = 20
        stage.apply(experiment("reviews-v3", "v3"))
        found = stage.wait_for_phase("reviews-v3", "promoted")
        assert stage.routes() == [("v3", 0)]
        wait_until(lambda: alone(stage, "v3", 100), 60, "the candidate has everything")
    assert seen[0]["all"]["succeeded"] == seen[0]["all"]["requests"], seen[0]["all"]
    assert [check["state"] for check in found["checks"]] == ["kept", "kept"]
    assert [event["what"] for event in found["events"]] == ["began", "stage 50 %", "promoted"]


def test_a_failing_version_is_rolled_back_and_few_users_saw_it(stage: Stage) -> None:
    stage.behaviour["v2"].error = 0.05
    before = sum(each.requests for each in stage.behaviour.values())
    with stage.load(RATE) as seen:
        # The first step lasts until it is decided, however busy the machine is: at 50 % every fortieth user would see it.
        steps = [{"weight": 10, "duration": "80s"}, {"weight": 50, "duration": "1s"}]
        stage.apply(experiment("reviews-v2", "v2", strategy={"canary": {"steps": steps}}))
        found = stage.wait_for_phase("reviews-v2", "rolled back")
        assert stage.routes() == [("v1", 0)]
        # About a dozen failures decide it. Among 3000 requests, 30 may be seen.
        wait_until(lambda: sum(each.requests for each in stage.behaviour.values()) > before + 3000, 120, "more load")
    users = seen[0]["all"]
    assert 1 - users["succeeded"] / users["requests"] < 0.01
    assert "errors ≤ baseline" in found["reason"]


def test_a_slower_version_is_rolled_back(stage: Stage) -> None:
    """By half in its slowest twentieth, to both sides of a bound of Istio's histogram (2.5 s): a busy machine may add
    0.7 s to every request before the two look alike."""
    stage.behaviour["v1"].milliseconds, stage.behaviour["v1"].tail = 20, 1750
    stage.behaviour["v3"].milliseconds, stage.behaviour["v3"].tail = 20, 2625
    checks = [{"errorIncrease": {"max": 1}}, {"latencyRatio": {"quantile": 0.99, "max": 1.2}}]
    with stage.load(RATE / 2):
        steps = [{"weight": 50, "duration": "30s"}]
        stage.apply(experiment("slow", "v3", checks=checks, strategy={"canary": {"steps": steps}}))
        found = stage.wait_for_phase("slow", "rolled back")
    assert "p99 ≤ 1.2 × baseline" in found["reason"]


def test_low_traffic_is_not_enough_data_with_a_right_estimate(stage: Stage) -> None:
    """What it says is missing is missing: with about so many requests more it is decided, not long before."""
    with stage.load(20):
        checks = [{"errorIncrease": {"max": 2}}]
        steps = [{"weight": 50, "duration": "1s"}]
        stage.apply(experiment("few", "v3", checks=checks, strategy={"canary": {"steps": steps}}))
        found = wait_until(lambda: _with_candidate(stage, "few", 40), 30, "some requests")
        assert found["verdict"] == "not enough data yet"
        expected = found["candidate"]["requests"] + found["more"]
        assert f"{found['more']} more requests" in found["sentence"]
        assert "at this rate" in found["sentence"]
        ended = stage.wait_for_phase("few", "promoted")
    assert abs(ended["candidate"]["requests"] - expected) <= 0.25 * expected


def alone(stage: Stage, version: str, count: int) -> bool:
    """Whether of so many requests to a version, none went to another meanwhile."""
    before = {name: behaviour.requests for name, behaviour in stage.behaviour.items()}
    wait_until(lambda: stage.behaviour[version].requests >= before[version] + count, 60, f"requests to {version}")
    return all(stage.behaviour[name].requests == before[name] for name in before if name != version)


def _with_candidate(stage: Stage, name: str, requests: int) -> dict[str, object] | None:
    found = stage.experiment(name)
    return found if found["phase"] == "running" and found["candidate"]["requests"] >= requests else None


def test_load_over_http2_goes_through_the_mesh(stage: Stage) -> None:
    """By prior knowledge, to a sidecar: many requests at a time on one connection, each answered."""
    stage.behaviour["v1"].milliseconds = 50
    words = ["load", "http://reviews:9080/a/{{number}}", "--protocol", "h2", "--rate", "100", "--count", "200"]
    done = stage.mesh(*words, "--proxy", f"{stage.address('client')}:15001", "--by-header", "x-version", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["all"]
    assert (found["succeeded"], found["labels"]) == (200, {"v1": 200}), found
    assert found["latency"]["p50"] >= 50
