"""`python -m mesh.experiments [RUNS]` prints the tables of docs/experiments.md: calibration and power. Needs numpy."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from mesh.experiments.checks import ErrorShareIncrease, LatencyRatio
from mesh.experiments.simulate import Outcome, Setting, simulate, simulate_flagger
from mesh.experiments.traffic import Version
from mesh.experiments.verdict import Verdict

ALPHA = 0.05
CALIBRATION_RUNS = 2000
POWER_RUNS = 40
STRICT = (ErrorShareIncrease(0.0), LatencyRatio(0.95, 1.0))
CHECKS = (ErrorShareIncrease(0.005), LatencyRatio(0.95, 1.2))
SAME = Version(error=0.01, p50=20, p99=100)
# What the checks allow, and what they do not: the right verdicts.
CANDIDATES = (
    ("equal", SAME, Verdict.PROMOTE),
    ("1 point more errors", SAME.worse(0.01), Verdict.ROLL_BACK),
    ("2 points more errors", SAME.worse(0.02), Verdict.ROLL_BACK),
    ("5 points more errors", SAME.worse(0.05), Verdict.ROLL_BACK),
    ("10 % slower", SAME.slower(1.1), Verdict.PROMOTE),
    ("20 % slower (the limit)", SAME.slower(1.2), None),
    ("50 % slower", SAME.slower(1.5), Verdict.ROLL_BACK),
)


def calibration(runs: int) -> Iterator[str]:
    """False alarms of equal versions with no tolerance at all, the hardest case."""
    outcome = simulate(Setting(STRICT, ALPHA, rate=100, interval=5, looks=30), SAME, SAME, runs, seed=11)
    found = outcome.interval(Verdict.ROLL_BACK)
    assert found.estimate is not None and found.low is not None and found.high is not None  # noqa: S101
    yield f"{outcome.verdicts[Verdict.ROLL_BACK]} false alarms in {runs} A/A experiments of 30 looks each:"
    yield f"{100 * found.estimate:.2f} % ({100 * found.low:.2f} … {100 * found.high:.2f} %), at most {100 * ALPHA:g} %."


def power(runs: int) -> Iterator[str]:
    yield "| Candidate | Rule | Promote | Roll back | Neither | Median requests to the verdict | Wrong |"
    yield "|---|---|---|---|---|---|---|"
    for seed, (name, candidate, right) in enumerate(CANDIDATES, 1):
        ours = simulate(Setting(CHECKS, ALPHA), SAME, candidate, runs, seed)
        yield _row(name, "ours", ours, right)
        yield _row(name, "Flagger's", simulate_flagger(candidate, runs, seed=seed), right)


def _row(name: str, rule: str, outcome: Outcome, right: Verdict | None) -> str:
    shares = [f"{100 * outcome.share(each):.1f} %" for each in Verdict]
    common = max(outcome.verdicts, key=lambda each: outcome.verdicts[each])
    wrong = {Verdict.PROMOTE: Verdict.ROLL_BACK, Verdict.ROLL_BACK: Verdict.PROMOTE}
    said = "-" if right is None else f"{100 * outcome.share(wrong[right]):.1f} %"
    return f"| {name} | {rule} | {' | '.join(shares)} | {outcome.median_requests(common):.0f} | {said} |"


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    print("\n".join(calibration(number or CALIBRATION_RUNS)))
    print()
    print("\n".join(power(number or POWER_RUNS)))
