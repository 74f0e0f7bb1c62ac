"""What an experiment does next. Pure: `decide` gets what is known, and gives one decision with its grounds.

In this order: what hurts is ended (guards, error budget), then what cannot be seen (no data), then what is shown to be
worse, then what a guard cannot tell, then what has taken too long; only then a stage may end, one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mesh.experiments.answers import Answers
from mesh.experiments.checks import Check
from mesh.experiments.data import Counts
from mesh.experiments.resource import Experiment, Guard, Undecided
from mesh.experiments.run import Run
from mesh.experiments.schedule import closed
from mesh.experiments.stages import Role, Stage
from mesh.experiments.verdict import Judgement, State, Verdict

AGREEMENT: Final = "until somebody agrees"


class Action(StrEnum):
    HOLD = "hold"
    STEP = "step"
    ASK = "ask the webhook"
    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    FINISH = "finish"


@dataclass(frozen=True, slots=True)
class Observation:
    """`recent` is what the candidate did since the last look, with requests that found no host at all among its failures;
    `silent` is for how many seconds nothing was heard of any proxy, or nothing could be made of it (`trouble` says why);
    `promql` the answers to the guards' queries, `unanswered` for how many seconds some of them have had no number;
    `compared` is what a comparer has found."""

    now: float
    recent: Counts
    silent: float = 0.0
    promql: tuple[float | None, ...] = ()
    trouble: str = ""
    unanswered: float = 0.0
    compared: Answers | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    reason: str = ""


def decide(spec: Experiment, row: Sequence[Stage], run: Run, seen: Observation, judgement: Judgement) -> Decision:
    """For a run that is running."""
    stage = row[run.stage]
    if stage.role is not Role.BASELINE and (reason := breached(spec, run, seen)):
        return Decision(Action.ROLL_BACK, reason)
    if seen.compared is not None and (reason := seen.compared.sentence()):
        return Decision(Action.ROLL_BACK, reason)
    if seen.silent > spec.no_data:
        why = f": {seen.trouble}" if seen.trouble else ""
        return Decision(Action.ROLL_BACK, f"nothing was heard of the proxies for {seen.silent:.0f} s{why}")
    if seen.trouble:
        return Decision(Action.HOLD, seen.trouble)
    if seen.silent:
        return Decision(Action.HOLD, f"nothing is heard of the proxies, for {seen.silent:.0f} s now")
    if judgement.verdict is Verdict.ROLL_BACK and spec.strategy.fault is None and spec.strategy.aa is None:
        return Decision(Action.ROLL_BACK, judgement.sentence().removeprefix("roll back: "))
    if reason := without_number(spec, stage, seen.promql):
        action = Action.ROLL_BACK if seen.unanswered > spec.no_data else Action.HOLD
        return Decision(action, f"{reason}, for {seen.unanswered:.0f} s now")
    if seen.now - run.began > spec.max_duration and judgement.verdict is not Verdict.PROMOTE:
        return _too_long(spec, judgement)
    if reason := _unfinished(stage, run, seen) or closed(spec.schedule, seen.now):
        return Decision(Action.HOLD, reason)
    if stage.webhook and not run.approved:
        return Decision(Action.ASK, f"asking {stage.webhook}")
    if run.stage + 1 < len(row):
        return Decision(Action.STEP, f"{stage.name} is over")
    return _last(spec, row, run, seen, judgement)


def breached(spec: Experiment, run: Run, seen: Observation) -> str:
    """Which guard says stop, or an empty string."""
    answers = iter(seen.promql)
    for guard in spec.guards:
        reason = _promql(guard, next(answers, None)) if guard.promql else _breached(guard, seen.recent)
        if reason:
            return f"guard: {reason}"
    if spec.error_budget and run.candidate.failures >= spec.error_budget:
        return f"error budget: {run.candidate.failures:.0f} requests of the candidate failed, {spec.error_budget} may"
    return ""


def without_number(spec: Experiment, stage: Stage, promql: Sequence[float | None]) -> str:
    """Which guards cannot say anything now, or an empty string. NaN is no number: 0/0, where nothing came."""
    if stage.role is Role.BASELINE:
        return ""
    queries = [guard.promql for guard in spec.guards if guard.promql]
    answers = [*promql, *[None] * len(queries)]
    silent = [query for query, answer in zip(queries, answers, strict=False) if answer is None or math.isnan(answer)]
    return f"no single number for the guard {', '.join(silent)}" if silent else ""


def _breached(guard: Guard, recent: Counts) -> str:
    if recent.requests < guard.minimum_requests:
        return ""
    share = recent.error_share
    if guard.error_share is not None and share is not None and 100 * share > guard.error_share.max:
        return (
            f"{100 * share:.1f} % of the latest {recent.requests:.0f} requests failed, {guard.error_share.max:g} % may"
        )
    if guard.latency is not None:
        value = recent.latencies.quantile(guard.latency.quantile)
        if value is not None and value > 1000 * guard.latency.max:
            limit = f"{1000 * guard.latency.max:g} may be"
            return f"p{100 * guard.latency.quantile:g} of the latest requests is {value:.0f} ms, {limit}"
    return ""


def _promql(guard: Guard, answer: float | None) -> str:
    if answer is None or math.isnan(answer) or guard.max is None or answer <= guard.max:
        return ""
    return f"{guard.promql} is {answer:g}, {guard.max:g} may be"


def _too_long(spec: Experiment, judgement: Judgement) -> Decision:
    reason = f"{spec.max_duration:g} s are over; {judgement.sentence()}"
    promote = spec.on_inconclusive is Undecided.PROMOTE
    return Decision(Action.PROMOTE if promote else Action.ROLL_BACK, reason)


def _unfinished(stage: Stage, run: Run, seen: Observation) -> str:
    """What a stage still waits for, or an empty string."""
    left = stage.duration - (seen.now - run.stage_began)
    came = run.candidate.requests - run.stage_requests if seen.compared is None else seen.compared.compared
    missing = stage.requests - came
    if left > 0:
        return f"{stage.name} for {left:.0f} s more"
    if stage.role is Role.COPIES and not came:
        return f"{stage.name} until one has come to the candidate"
    if missing > 0:
        return f"{stage.name} for {missing:.0f} requests more"
    if stage.manual and not run.approved:
        return f"{stage.name} {AGREEMENT}: mesh experiment promote"
    return ""


def _last(spec: Experiment, row: Sequence[Stage], run: Run, seen: Observation, judgement: Judgement) -> Decision:
    if spec.strategy.ab is not None:
        if spec.checks and judgement.verdict is Verdict.NOT_ENOUGH and not spec.strategy.ab.duration:
            return Decision(Action.HOLD, judgement.sentence())
        return Decision(Action.FINISH, judgement.sentence() if spec.checks else "its time is over")
    if spec.strategy.fault is not None:
        return Decision(Action.FINISH, f"{hypothesis(judgement)}{recovery(row[-1], run)}")
    if spec.strategy.aa is not None:
        return Decision(Action.FINISH, noise(judgement))
    if spec.strategy.mirror is not None:
        return Decision(Action.FINISH, f"{judgement.sentence()}{_compared(seen)}")
    if judgement.verdict is Verdict.PROMOTE:
        return Decision(Action.PROMOTE, "every check holds")
    return Decision(Action.HOLD, judgement.sentence())


def noise(judgement: Judgement) -> str:
    """What a version beside itself shows: no difference, or a false alarm."""
    found = [finding.name for finding in judgement.findings if finding.state is State.VIOLATED]
    if found:
        return f"a difference where there is none: {', '.join(found)}; a false alarm, or the two are not the same"
    return f"no difference was seen; {judgement.sentence()}"


def _compared(seen: Observation) -> str:
    if seen.compared is None:
        return ""
    return f"; no answer of {seen.compared.compared} compared ones differs beyond noise"


def healthy(checks: Sequence[Check], before: Counts, recent: Counts) -> bool:
    """Whether what came since the last look keeps every check: plain limits, no statistics."""
    return bool(recent.requests) and all(check.holds_so_far(before, recent) for check in checks)


def recovery(stage: Stage, run: Run) -> str:
    """Whether a system came back within the time that it had, or an empty string where none was asked for."""
    if stage.role is not Role.NEITHER:
        return ""
    if not run.recovered:
        return f"; it has not recovered within {stage.duration:g} s"
    return f"; recovered after {run.recovered - run.stage_began:.0f} s"


def hypothesis(judgement: Judgement) -> str:
    """Whether a system kept its steady state under a fault."""
    if judgement.verdict is Verdict.ROLL_BACK:
        names = [finding.name for finding in judgement.findings if finding.state is State.VIOLATED]
        return f"the hypothesis does not hold: {', '.join(names)}"
    if judgement.verdict is Verdict.PROMOTE:
        return "the hypothesis holds"
    return f"the hypothesis is not refuted; {judgement.sentence()}"
