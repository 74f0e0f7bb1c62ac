"""The decision rule over made-up traffic: how often it is wrong, and how many requests it takes. Needs numpy."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from mesh.experiments.checks import Check, Interval, share_interval
from mesh.experiments.data import Counts
from mesh.experiments.flagger import FlaggerRule
from mesh.experiments.traffic import Source, Traffic, random_source
from mesh.experiments.verdict import Verdict, judge


@dataclass(frozen=True, slots=True)
class Setting:
    """Of each simulated experiment: `share` of `rate` requests a second goes to the candidate; a look each `interval`
    seconds, at most `looks` of them."""

    checks: tuple[Check, ...]
    alpha: float = 0.05
    rate: float = 100.0
    share: float = 0.5
    interval: float = 10.0
    looks: int = 60


@dataclass(slots=True)
class Outcome:
    """Of many simulated experiments: verdicts, and the candidate's requests until each was there."""

    verdicts: Counter[Verdict] = field(default_factory=Counter)
    requests: dict[Verdict, list[float]] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        return sum(self.verdicts.values())

    def share(self, verdict: Verdict) -> float:
        return self.verdicts[verdict] / self.runs if self.runs else 0.0

    def interval(self, verdict: Verdict, alpha: float = 0.05) -> Interval:
        return share_interval(self.verdicts[verdict], self.runs, alpha)

    def median_requests(self, verdict: Verdict) -> float | None:
        found = self.requests.get(verdict)
        return median(found) if found else None

    def add(self, verdict: Verdict, requests: float) -> None:
        self.verdicts[verdict] += 1
        self.requests.setdefault(verdict, []).append(requests)


def simulate(setting: Setting, baseline: Source, candidate: Source, runs: int, seed: int = 1) -> Outcome:
    """Ours: a look after each interval, until there is a verdict."""
    outcome = Outcome()
    for run in range(runs):
        outcome.add(*_ours(setting, baseline, candidate, seed * 1_000_003 + run))
    return outcome


def _ours(setting: Setting, baseline: Source, candidate: Source, seed: int) -> tuple[Verdict, float]:
    chance = random_source(seed)
    base, new = Traffic(baseline, chance), Traffic(candidate, chance)
    ours = round(setting.rate * setting.interval * setting.share)
    theirs = round(setting.rate * setting.interval) - ours
    seen_base, seen_new = Counts(), Counts()
    for _ in range(setting.looks):
        seen_base, seen_new = seen_base.plus(base.draw(theirs)), seen_new.plus(new.draw(ours))
        verdict = judge(setting.checks, seen_base, seen_new, setting.alpha).verdict
        if verdict is not Verdict.NOT_ENOUGH:
            return verdict, seen_new.requests
    return Verdict.NOT_ENOUGH, seen_new.requests


def simulate_flagger(
    candidate: Source, runs: int, rate: float = 100.0, interval: float = 60.0, looks: int = 60, seed: int = 1
) -> Outcome:
    """Flagger's rule on the same traffic: its weights, its interval of a minute."""
    outcome = Outcome()
    for run in range(runs):
        traffic, rule = Traffic(candidate, random_source(seed * 1_000_003 + run)), FlaggerRule()
        verdict, requests = Verdict.NOT_ENOUGH, 0
        for _ in range(looks):
            sent = round(rate * interval * rule.weight / 100)
            requests += sent
            verdict = rule.interval(traffic.draw(sent))
            if verdict is not Verdict.NOT_ENOUGH:
                break
        outcome.add(verdict, requests)
    return outcome
