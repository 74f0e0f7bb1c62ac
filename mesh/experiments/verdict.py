"""What the evidence so far says: a verdict for each check and for all of them, and how much more is needed. Pure.

Roll back: some check is violated. The chance that this is ever said of a candidate for which all checks hold is at most α,
over all checks (Holm) and all looks. Promote: every check is kept; the chance that this is ever said of a candidate for
which one does not hold is at most α, and needs no correction, because all of them have to be shown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from mesh.experiments.checks import Check, Interval
from mesh.experiments.data import Counts
from mesh.experiments.evidence import holm

MOST_FACTOR = 1000.0  # of what was seen: an estimate beyond is "too near the limit to tell"
FACTOR_STEPS = 16


class Verdict(StrEnum):
    PROMOTE = "promote"
    ROLL_BACK = "roll back"
    NOT_ENOUGH = "not enough data yet"


class State(StrEnum):
    VIOLATED = "violated"
    KEPT = "kept"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Finding:
    """About one check. Evidence is a natural logarithm; `more` is how many requests of the candidate are still missing if
    things go on as they did: 0 when it is decided, None when that cannot be told."""

    name: str
    state: State
    violated: float
    kept: float
    more: int | None = 0
    effect: Interval = field(default_factory=lambda: Interval(None, None, None))


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    findings: tuple[Finding, ...]
    more: int | None = 0

    def sentence(self, rate: float = 0.0) -> str:
        """The verdict in words; `rate` is how many requests a second the candidate gets."""
        if self.verdict is Verdict.ROLL_BACK:
            return f"roll back: {_names(self.findings, State.VIOLATED)} does not hold"
        if self.verdict is Verdict.PROMOTE:
            return "promote: every check holds"
        if self.more is None:
            return "not enough data yet: too near a limit to say how much is missing"
        time = f", about {_duration(self.more / rate)} at this rate" if rate > 0 else ""
        return f"not enough data yet: {self.more} more requests{time}"


def judge(checks: Sequence[Check], baseline: Counts, candidate: Counts, alpha: float) -> Judgement:
    """The verdict alone, as fast as may be: for simulations and for each look."""
    violated_from, kept_from = math.log(1 / alpha), math.log(1 / alpha)
    violated = [check.violated(baseline, candidate, violated_from) for check in checks]
    broken = holm(violated, alpha)
    kept = [
        -math.inf if gone else check.kept(baseline, candidate, kept_from)
        for check, gone in zip(checks, broken, strict=True)
    ]
    findings = tuple(
        Finding(check.name, State.VIOLATED if gone else State.KEPT if good >= kept_from else State.OPEN, bad, good)
        for check, bad, gone, good in zip(checks, violated, broken, kept, strict=True)
    )
    if any(broken):
        return Judgement(Verdict.ROLL_BACK, findings)
    if findings and all(finding.state is State.KEPT for finding in findings):
        return Judgement(Verdict.PROMOTE, findings)
    return Judgement(Verdict.NOT_ENOUGH, findings, None)


def explain(checks: Sequence[Check], baseline: Counts, candidate: Counts, alpha: float) -> Judgement:
    """The same with intervals, and with how much is missing: some tenths of a second of work."""
    quick = judge(checks, baseline, candidate, alpha)
    findings = []
    for check, finding in zip(checks, quick.findings, strict=True):
        effect = check.effect(baseline, candidate, alpha)
        more = _missing(check, baseline, candidate, alpha, len(checks)) if finding.state is State.OPEN else 0
        bad, good = check.violated(baseline, candidate), check.kept(baseline, candidate)
        findings.append(Finding(finding.name, finding.state, bad, good, more, effect))
    open_ones = [finding.more for finding in findings if finding.state is State.OPEN]
    most = None if None in open_ones else max((each for each in open_ones if each is not None), default=0)
    return Judgement(quick.verdict, tuple(findings), most if quick.verdict is Verdict.NOT_ENOUGH else 0)


def _missing(check: Check, baseline: Counts, candidate: Counts, alpha: float, checks: int) -> int | None:
    """How many requests more until a check is decided, if shares and latencies stay as they are."""
    holds = check.holds_so_far(baseline, candidate)
    if holds is None or not candidate.requests:
        return None
    enough = math.log((1 if holds else checks) / alpha)
    evidence = check.kept if holds else check.violated

    def decided(factor: float) -> bool:
        return evidence(baseline.times(factor), candidate.times(factor), enough) >= enough

    if not decided(MOST_FACTOR):
        return None
    low, high = 0.0, math.log(MOST_FACTOR)
    for _ in range(FACTOR_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if decided(math.exp(middle)) else (middle, high)
    return math.ceil((math.exp(high) - 1) * candidate.requests)


def _names(findings: Sequence[Finding], state: State) -> str:
    return ", ".join(finding.name for finding in findings if finding.state is state)


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{math.ceil(seconds)} s"
