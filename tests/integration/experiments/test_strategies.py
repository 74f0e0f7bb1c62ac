"""The other strategies on real traffic: faults with a hypothesis, fixed shares, all at once."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.harness.process import wait_until
from tests.integration.experiments.stage import Stage, experiment

RATE = 50.0


def fault(name: str, percent: int, **more: Any) -> dict[str, Any]:
    action = {"abort": {"status": 503, "percent": percent}, "before": "4s", "duration": "4s", **more}
    document = experiment(name, "v3", strategy={"fault": action}, checks=[{"errorIncrease": {"max": 5}}])
    del document["spec"]["baseline"], document["spec"]["candidate"]
    return document


def faults(stage: Stage) -> list[Any]:
    http = stage.plane.resources("VirtualService", "default", "reviews")[0]["document"]["spec"]["http"]
    return [route["fault"] for route in http if "fault" in route]


def test_a_fault_refutes_a_hypothesis_and_is_undone(stage: Stage) -> None:
    with stage.load(RATE) as seen:
        stage.apply(fault("broken", 50))
        wait_until(lambda: faults(stage), 30, "the fault")
        found = stage.wait_for_phase("broken", "finished")
        assert faults(stage) == []
        assert stage.routes() == [("v1", 0)]
    assert "the hypothesis does not hold: errors" in found["reason"]
    assert found["baseline"]["failures"] == 0
    failed, asked = found["candidate"]["failures"], found["candidate"]["requests"]
    assert 0 < failed < asked  # half of them
    assert seen[0]["all"]["statuses"]["503"] >= failed  # callers have seen what the proxies counted


@pytest.mark.parametrize("at", ["client", "upstream"])
def test_connections_are_reset_and_undone(stage: Stage, at: str) -> None:
    """At the caller's sidecar nobody gets an answer; at the host's own its callers' sidecars say 503 for it."""
    document = fault("cut", 0, before="6s", reset={"percent": 50}, at=at)
    del document["spec"]["strategy"]["fault"]["abort"]
    with stage.load(RATE) as seen:
        stage.apply(document)
        wait_until(lambda: faults(stage), 30, "the fault")
        found = stage.wait_for_phase("cut", "finished")
        assert faults(stage) == []
    assert "the hypothesis does not hold: errors" in found["reason"]
    assert found["baseline"]["failures"] == 0
    assert 0 < found["candidate"]["failures"] < found["candidate"]["requests"]
    users = seen[0]["all"]
    assert users["statuses"].get("503", 0) == (0 if at == "client" else users["requests"] - users["succeeded"])


def test_a_fault_is_undone_when_its_runner_is_killed(stage: Stage) -> None:
    with stage.load(RATE):
        stage.apply(fault("orphan", 50, before="1s"))
        wait_until(lambda: faults(stage), 30, "the fault")
        stage.control_plane.signal(signal.SIGKILL)
        stage.control_plane.wait()
        stage.start_control_plane()
        stage.wait_for_phase("orphan", "finished", "rolled back")
    assert faults(stage) == []


def test_an_ab_test_of_some_requests_ends_and_restores(stage: Stage) -> None:
    share = {"share": 50, "duration": "4s", "match": [{"uri": {"prefix": "/"}}]}
    with stage.load(RATE):
        stage.apply(experiment("ab", "v3", strategy={"ab": share}, checks=[]))
        wait_until(lambda: stage.routes() == [("v1", 50), ("v3", 50)], 30, "the split")
        found = stage.wait_for_phase("ab", "finished")
    assert stage.routes() == [("v1", 0)]
    assert found["candidate"]["requests"] > 10


def test_blue_green_compares_with_the_time_before(stage: Stage) -> None:
    stage.behaviour["v2"].error = 0.5
    both = {"warmup": "4s", "duration": "10s"}
    with stage.load(RATE):
        stage.apply(experiment("switch", "v2", strategy={"blueGreen": both}, checks=[{"errorIncrease": {"max": 5}}]))
        found = stage.wait_for_phase("switch", "rolled back")
    assert stage.routes() == [("v1", 0)]
    assert found["baseline"]["requests"] > 20


def test_a_version_beside_itself_shows_noise_and_changes_no_route(stage: Stage) -> None:
    stage.behaviour["v1"].error = 0.1
    document = experiment("noise", "v1", strategy={"aa": {"requests": 100}}, checks=[{"errorIncrease": {"max": 20}}])
    del document["spec"]["candidate"]
    with stage.load(RATE):
        stage.apply(document)
        found = stage.wait_for_phase("noise", "finished")
        assert stage.routes() == [("v1", 0)]
    assert found["reason"].startswith("no difference was seen")
    assert found["candidate_name"] == "the other half"
    sides = [found[side] for side in ("baseline", "candidate")]
    assert all(side["requests"] >= 60 and side["failures"] > 0 for side in sides)


def test_a_version_deployed_twice_shares_its_requests(stage: Stage) -> None:
    with stage.load(RATE):
        stage.apply(experiment("twice", "v3", strategy={"aa": {"share": 40, "requests": 40}}))
        wait_until(lambda: stage.routes() == [("v1", 60), ("v3", 40)], 30, "the split")
        found = stage.wait_for_phase("twice", "finished")
    assert stage.routes() == [("v1", 0)]
    assert found["candidate"]["requests"] >= 40


def copied_to(stage: Stage) -> list[str]:
    http = stage.plane.resources("VirtualService", "default", "reviews")[0]["document"]["spec"]["http"]
    return [each["destination"]["subset"] for route in http for each in route.get("mirrors", ())]


def test_copies_for_a_failing_candidate_hurt_nobody(stage: Stage) -> None:
    stage.behaviour["v2"].error = 0.5
    copies = {"percent": 100, "duration": "1m"}
    with stage.load(RATE) as seen:
        stage.apply(experiment("copies", "v2", strategy={"mirror": copies}, checks=[{"errorIncrease": {"max": 5}}]))
        wait_until(lambda: copied_to(stage) == ["v2"], 30, "the mirror")
        found = stage.wait_for_phase("copies", "rolled back")
        assert copied_to(stage) == []
    users = seen[0]["all"]
    assert users["succeeded"] == users["requests"] > 0
    assert set(users["labels"]) == {"v1"}, users["labels"]
    assert 0 < found["candidate"]["failures"] <= found["candidate"]["requests"]
    assert found["baseline"]["failures"] == 0 < found["baseline"]["requests"]


def test_a_candidate_is_tried_with_copies_first(stage: Stage) -> None:
    # Copies last for seconds, whose sight cannot be missed; the step waits until it was looked at.
    canary = {"mirrorFirst": {"percent": 50, "requests": 100}, "steps": [{"weight": 50, "manual": True}]}
    with stage.load(RATE) as seen:
        stage.apply(experiment("tried", "v3", strategy={"canary": canary}, checks=[{"errorIncrease": {"max": 10}}]))
        wait_until(lambda: (copied_to(stage), stage.routes()) == (["v3"], [("v1", 0)]), 30, "the mirror")
        wait_until(lambda: stage.routes() == [("v1", 50), ("v3", 50)], 60, "the split")
        assert copied_to(stage) == []
        stage.plane.experiment_action("default", "tried", "promote")
        found = stage.wait_for_phase("tried", "promoted")
    assert [event["what"] for event in found["events"]] == ["began", "stage 50 %", "approved", "promoted"]
    assert seen[0]["all"]["succeeded"] == seen[0]["all"]["requests"]


def test_a_throttle_is_felt_and_undone(stage: Stage) -> None:
    """A body of 16 KiB at 8 KiB a second takes two. Whoever sees them does so in buckets of Istio's histogram: from 1 to
    2.5 s, far above the limit of 0.5 s; without the throttle a request takes milliseconds, a hundredth of that limit."""
    stage.behaviour["v1"].padding = 16 * 1024
    document = fault("thin", 0, duration="10s", recovery="20s", throttle={"limitKbps": 8})
    del document["spec"]["strategy"]["fault"]["abort"]
    document["spec"]["checks"] = [{"latency": {"quantile": 0.5, "max": "500ms"}}]
    with stage.load(10):
        stage.apply(document)
        found = stage.wait_for_phase("thin", "finished", seconds=90)
        assert faults(stage) == []
    middle = [found[side]["latency"]["p50"]["estimate"] for side in ("baseline", "candidate")]
    assert "the hypothesis does not hold: p50" in found["reason"], middle
    assert "recovered after" in found["reason"]
    assert middle[1] > 1000 > 500 > middle[0]
