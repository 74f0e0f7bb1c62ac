"""What an experiment does next: a table of situations and decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.errors import ConfigError
from mesh.experiments.data import Counts, from_values
from mesh.experiments.lifecycle import Action, Observation, decide, healthy
from mesh.experiments.resource import Experiment
from mesh.experiments.run import Event, Phase, Run, brief
from mesh.experiments.run import Point as RunPoint
from mesh.experiments.stages import Role, checks, routes_of, stages
from mesh.experiments.verdict import Finding, Judgement, State, Verdict
from mesh.istio.load import load_documents

START = 1000.0


def spec(**more: Any) -> Experiment:
    steps = [{"weight": 10, "duration": "30s"}, {"weight": 50, "requests": 100}]
    document = {
        "apiVersion": "mesh.asyncmesh.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "e"},
        "spec": {
            "target": {"host": "reviews"},
            "baseline": {"subset": "v1"},
            "candidate": {"subset": "v3"},
            "strategy": {"canary": {"steps": steps}},
            "checks": [{"errorIncrease": {"max": 1}}],
            "guards": [{"errorShare": {"max": 20}, "minimumRequests": 10}],
            "maxDuration": "10m",
            "noData": "60s",
            "errorBudget": 50,
            **more,
        },
    }
    found: Experiment = load_documents([document])[0].spec
    return found


def judged(verdict: Verdict) -> Judgement:
    state = {Verdict.PROMOTE: State.KEPT, Verdict.ROLL_BACK: State.VIOLATED}.get(verdict, State.OPEN)
    return Judgement(verdict, (Finding("errors", state, 0, 0),), 100)


OPEN, GOOD, BAD = map(judged, (Verdict.NOT_ENOUGH, Verdict.PROMOTE, Verdict.ROLL_BACK))
FIRST = Run(START, stage_began=START)
SECOND = replace(FIRST, stage=1, stage_began=START + 30, stage_requests=40.0, candidate=Counts(140, 1))
QUIET = Observation(START + 31, Counts(30, 0))


@pytest.mark.parametrize(
    ("run", "seen", "judgement", "action", "reason"),
    [
        (FIRST, replace(QUIET, now=START + 10), OPEN, Action.HOLD, "10 % for 20 s more"),
        (FIRST, QUIET, OPEN, Action.STEP, "10 % is over"),
        (FIRST, QUIET, GOOD, Action.STEP, "10 % is over"),
        (FIRST, replace(QUIET, now=START + 1), BAD, Action.ROLL_BACK, "errors does not hold"),
        (FIRST, replace(QUIET, recent=Counts(10, 3)), GOOD, Action.ROLL_BACK, "guard: 30.0 % of the latest 10"),
        (FIRST, replace(QUIET, recent=Counts(9, 9)), OPEN, Action.STEP, ""),
        (replace(FIRST, candidate=Counts(1000, 50)), QUIET, OPEN, Action.ROLL_BACK, "error budget"),
        (FIRST, replace(QUIET, silent=5.0), GOOD, Action.HOLD, "nothing is heard"),
        (FIRST, replace(QUIET, silent=61.0), GOOD, Action.ROLL_BACK, "nothing was heard"),
        (FIRST, replace(QUIET, now=START + 601), OPEN, Action.ROLL_BACK, "600 s are over; not enough data"),
        (SECOND, QUIET, OPEN, Action.HOLD, "not enough data yet"),
        (SECOND, QUIET, GOOD, Action.PROMOTE, "every check holds"),
        (replace(SECOND, candidate=Counts(100, 1)), QUIET, GOOD, Action.HOLD, "50 % for 40 requests more"),
        (SECOND, replace(QUIET, now=START + 601), GOOD, Action.PROMOTE, ""),
    ],
)
def test_decisions(run: Run, seen: Observation, judgement: Judgement, action: Action, reason: str) -> None:
    decision = decide(spec(), stages(spec()), run, seen, judgement)
    assert decision.action is action, decision
    assert reason in decision.reason


def test_undecided_may_be_promoted() -> None:
    given = spec(onInconclusive="promote")
    late = replace(QUIET, now=START + 601)
    assert decide(given, stages(given), FIRST, late, OPEN).action is Action.PROMOTE


def test_gates() -> None:
    steps = [{"weight": 10, "manual": True}, {"weight": 50, "webhook": "http://127.0.0.1/ask"}]
    given = spec(strategy={"canary": {"steps": steps}})
    assert decide(given, stages(given), FIRST, QUIET, GOOD).action is Action.HOLD
    assert decide(given, stages(given), replace(FIRST, approved=True), QUIET, GOOD).action is Action.STEP
    assert decide(given, stages(given), replace(FIRST, stage=1), QUIET, GOOD).action is Action.ASK
    assert decide(given, stages(given), replace(FIRST, stage=1, approved=True), QUIET, GOOD).action is Action.PROMOTE


def test_a_guard_on_latency_and_one_on_a_query() -> None:
    slow = Counts(50, 0, from_values([400.0] * 50, (100.0, 250.0, 500.0)))
    given = spec(guards=[{"latency": {"quantile": 0.9, "max": "300ms"}}])
    assert decide(given, stages(given), FIRST, replace(QUIET, recent=slow), OPEN).action is Action.ROLL_BACK
    given = spec(guards=[{"promql": "up", "max": 1}], prometheus="http://127.0.0.1:9090")
    for answer, action in ((0.5, Action.STEP), (2.0, Action.ROLL_BACK), (float("inf"), Action.ROLL_BACK)):
        assert decide(given, stages(given), FIRST, replace(QUIET, promql=(answer,)), OPEN).action is action


@pytest.mark.parametrize("answer", [None, float("nan")])
def test_a_guard_without_a_number_holds_and_then_rolls_back(answer: float | None) -> None:
    given = spec(guards=[{"promql": "up", "max": 1}], prometheus="http://127.0.0.1:9090")
    row, first, later = stages(given), replace(QUIET, promql=(answer,)), replace(QUIET, promql=(answer,), unanswered=61)
    decision = decide(given, row, FIRST, first, GOOD)
    assert (decision.action, decision.reason) == (Action.HOLD, "no single number for the guard up, for 0 s now")
    assert decide(given, row, FIRST, later, GOOD).action is Action.ROLL_BACK
    assert decide(given, row, FIRST, first, BAD).action is Action.ROLL_BACK
    undecided = spec(guards=[{"promql": "up", "max": 1}], prometheus="http://127.0.0.1:9090", onInconclusive="promote")
    assert decide(undecided, row, FIRST, replace(first, now=START + 601), OPEN).action is Action.HOLD


def test_before_the_candidate_gets_anything_no_guard_needs_a_number() -> None:
    strategy = {"blueGreen": {"warmup": "30s", "duration": "30s"}}
    given = spec(guards=[{"promql": "up", "max": 1}], prometheus="http://127.0.0.1:9090", strategy=strategy)
    assert decide(given, stages(given), FIRST, replace(QUIET, promql=(None,)), OPEN).action is Action.STEP


def test_what_cannot_be_read_is_held_and_then_rolled_back() -> None:
    seen = replace(QUIET, trouble="KeyError: 'value'", silent=5.0)
    decision = decide(spec(), stages(spec()), FIRST, seen, GOOD)
    assert (decision.action, decision.reason) == (Action.HOLD, "KeyError: 'value'")
    decision = decide(spec(), stages(spec()), FIRST, replace(seen, silent=61.0), GOOD)
    assert (decision.action, decision.reason.endswith("for 61 s: KeyError: 'value'")) == (Action.ROLL_BACK, True)


def test_an_ab_test_finishes_and_a_fault_tells_of_its_hypothesis() -> None:
    given = spec(strategy={"ab": {"share": 50, "duration": "30s"}})
    assert decide(given, stages(given), FIRST, QUIET, OPEN).action is Action.FINISH
    fault = {"fault": {"abort": {"status": 503}, "duration": "10s"}}
    given = spec(strategy=fault, baseline=None, candidate=None)
    row = stages(given)
    assert [stage.fault for stage in row] == [False, True]
    for judgement, words in ((BAD, "does not hold: errors"), (GOOD, "hypothesis holds"), (OPEN, "not refuted")):
        decision = decide(given, row, replace(FIRST, stage=1), QUIET, judgement)
        assert decision.action is Action.FINISH
        assert words in decision.reason


def test_a_run_is_written_and_read() -> None:
    counts = Counts(10, 1, from_values([5.0, 50.0], (10.0, 100.0)))
    run = replace(SECOND, phase=Phase.PAUSED, original={"a": 1}, baseline=counts)
    run = run.with_event(Event(1.0, "began", "x", 0, 10, ("e",)))
    run = run.with_point(RunPoint(1.0, 10, 0.1, brief(counts), brief(Counts())))
    assert Run.decode(run.encode()) == run


def test_a_series_stays_bounded() -> None:
    run = FIRST
    for moment in range(2000):
        run = run.with_point(RunPoint(float(moment), 10, None, brief(Counts()), brief(Counts())))
    assert len(run.points) <= 401
    assert (run.points[0].time, run.points[-1].time) == (0.0, 1999.0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"checks": []}, "at least one check"),
        ({"candidate": {"subset": "v1"}}, "another subset"),
        ({"candidate": None}, "is required"),
        ({"strategy": {}}, "must be set"),
        ({"strategy": {"canary": {"steps": []}}}, "at least one step"),
        (
            {"strategy": {"canary": {"steps": [{"weight": 50, "duration": "1s"}, {"weight": 9, "manual": True}]}}},
            "more than",
        ),
        ({"alpha": 0.9}, "probability"),
        ({"interval": "1ms"}, "at least 0.2s"),
        ({"guards": [{"promql": "up"}]}, "max"),
        ({"guards": [{"promql": "up", "max": 1}]}, "prometheus"),
        ({"checks": [{"latencyRatio": {"quantile": 2, "max": 1.2}}]}, "between 0 and 1"),
        ({"teleport": 1}, "unknown field"),
    ],
)
def test_what_is_no_experiment(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        spec(**change)


def test_a_version_beside_itself_is_never_rolled_back_for_noise() -> None:
    given = spec(strategy={"aa": {"duration": "30s"}}, candidate=None)
    row = stages(given)
    assert [(stage.weight, stage.role, stage.reporter) for stage in row] == [(0, Role.HALVES, "source")]
    assert decide(given, row, FIRST, replace(QUIET, now=START + 20), BAD).action is Action.HOLD
    for judgement, words in ((BAD, "a difference where there is none: errors"), (OPEN, "no difference was seen")):
        decision = decide(given, row, FIRST, QUIET, judgement)
        assert (decision.action, words in decision.reason) == (Action.FINISH, True)
    assert decide(given, row, FIRST, replace(QUIET, recent=Counts(10, 9)), OPEN).action is Action.ROLL_BACK


def test_a_version_deployed_twice_gets_its_share() -> None:
    (stage,) = stages(spec(strategy={"aa": {"share": 40, "requests": 100}}))
    assert (stage.weight, stage.requests, stage.role) == (40, 100, Role.VERSIONS)
    with pytest.raises(ConfigError, match=r"must be another subset.*told apart by chance"):
        spec(strategy={"aa": {"duration": "1s"}}, candidate={"subset": "v1"})


def test_copies_come_first_and_never_promote() -> None:
    steps = [{"weight": 10, "duration": "30s"}]
    given = spec(strategy={"canary": {"mirrorFirst": {"percent": 20, "duration": "30s"}, "steps": steps}})
    row = stages(given)
    assert [(each.name, each.weight, each.mirror, each.reporter) for each in row] == [
        ("copies of 20 %", 0, 20, "destination"),
        ("10 %", 10, 0, "source"),
    ]
    assert decide(given, row, FIRST, QUIET, BAD).action is Action.ROLL_BACK
    assert "until one has come" in decide(given, row, FIRST, QUIET, GOOD).reason
    assert decide(given, row, replace(FIRST, candidate=Counts(1, 0)), QUIET, GOOD).action is Action.STEP
    alone = spec(strategy={"mirror": {"requests": 10}})
    decision = decide(alone, stages(alone), replace(FIRST, candidate=Counts(10, 0)), QUIET, GOOD)
    assert (decision.action, decision.reason) == (Action.FINISH, "promote: every check holds")


def test_recovery_is_judged() -> None:
    """Whether it came back in time, and after how long, is part of the answer."""
    fault = {"fault": {"abort": {"status": 503}, "duration": "10s", "recovery": "5s"}}
    given = spec(strategy=fault, baseline=None, candidate=None)
    row = stages(given)
    run = replace(FIRST, stage=2, stage_began=START + 20)
    late = decide(given, row, run, QUIET, GOOD)
    assert late.reason == "the hypothesis holds; it has not recovered within 5 s"
    back = decide(given, row, replace(run, recovered=START + 22), QUIET, GOOD)
    assert back.reason == "the hypothesis holds; recovered after 2 s"


def test_healthy_again_is_what_keeps_every_check() -> None:
    row = checks(spec(checks=[{"errorIncrease": {"max": 1}}, {"errorShare": {"max": 5}}]))
    before = Counts(1000, 30)
    assert healthy(row, before, Counts(100, 4))
    assert not healthy(row, before, Counts(100, 5))
    assert not healthy(row, before, Counts())


def test_what_is_broken_by_hand_waits_for_it() -> None:
    fault = {"processes": {"workloads": ["ratings-v1"]}, "duration": "10s"}
    given = spec(strategy={"fault": fault}, baseline=None, candidate=None)
    assert [stage.manual for stage in stages(given)] == [True, False]
    for bad, problem in (
        ({"workloads": []}, "must name at least one workload"),
        ({"controlPlane": True, "signal": "kill"}, "must be pause"),
        ({"controlPlane": True, "workloads": ["a"]}, "exclude each other"),
        ({"containers": ["a b"]}, "is not the name of a container"),
    ):
        with pytest.raises(ConfigError, match=problem):
            spec(strategy={"fault": {**fault, "processes": bad}}, baseline=None, candidate=None)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "ratings", "a.example"])
def test_what_is_reached_by_whoever_runs_it_has_a_name_or_an_address(host: str) -> None:
    place = {"host": host, "port": 9080}
    fault = {"connections": {**place, "count": 5}, "dns": {**place, "delay": "1s"}, "duration": "10s"}
    given = spec(strategy={"fault": fault}, baseline=None, candidate=None).strategy.fault
    assert given is not None and given.connections is not None and given.dns is not None
    assert given.connections.host == given.dns.host == host
    with pytest.raises(ConfigError, match="an address would do, too"):
        spec(strategy={"fault": {**fault, "dns": {**place, "host": "no name"}}}, baseline=None, candidate=None)


@pytest.mark.parametrize(("place", "written"), [("client", None), ("upstream", "upstream")])
def test_a_fault_is_at_the_callers_or_at_the_host(place: str, written: str | None) -> None:
    fault = {"abort": {"status": 503}, "at": place, "duration": "10s", "recovery": "5s"}
    given = spec(strategy={"fault": fault}, baseline=None, candidate=None)
    before, during, after = (routes_of(given, index, None, "e", "default")["spec"]["http"] for index in (0, 1, 2))
    assert during[0]["fault"].get("at") == written
    assert "match" not in during[0]
    assert before == after
    if written is None:
        assert ["fault" in route for route in before] == [False]
        return
    # It is there already, under the same number, and for nobody: connections that are there have it.
    assert ["fault" in route for route in before] == ["fault" in route for route in during] == [True, False]
    assert before[0]["fault"] == during[0]["fault"]
    assert before[0]["match"] == [{"headers": {"x-mesh-armed-by": {"exact": "e: nobody says so"}}}]


@pytest.mark.parametrize("where", [{"destination_version": "v1"}, {"not a label": "x"}, {"le": "5"}])
def test_labels_that_are_no_filter_are_refused(where: dict[str, str]) -> None:
    assert spec(where={"source_workload": "productpage-v1"}).where == {"source_workload": "productpage-v1"}
    with pytest.raises(ConfigError, match="where"):
        spec(where=where)
