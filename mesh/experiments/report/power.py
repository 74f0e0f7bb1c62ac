"""The plot of power: how many requests a verdict takes, by how much worse the candidate is, beside how many there were."""

from __future__ import annotations

from collections.abc import Iterator

from mesh.experiments.planning import needed_for_errors
from mesh.experiments.report import text
from mesh.experiments.report.plots import Axis, Line, plot

BEYOND = (0.5, 1.0, 2.0, 3.0, 5.0, 8.0)  # points over the limit


def power(found: text.Experiment) -> Iterator[str]:
    """Nothing where no check compares errors, or too little is known of the baseline."""
    checks = found["document"]["spec"].get("checks") or []
    limits = [each["errorIncrease"]["max"] for each in checks if "errorIncrease" in each]
    base, new = found["baseline"], found["candidate"]
    if not limits or not base["requests"] or not new["requests"]:
        return
    limit, share = min(limits), new["requests"] / (base["requests"] + new["requests"])
    target = found["document"]["spec"].get("power", 0.8)
    rows = []
    for more in (0.0, *(limit + beyond for beyond in BEYOND)):
        failing = base["failures"] / base["requests"]
        needed = needed_for_errors(
            failing, min(failing + more / 100, 1.0), limit / 100, share, found["alpha"], target, len(checks)
        )
        if needed.candidate is not None:
            rows.append((more, float(needed.candidate)))
    had = [(at, new["requests"]) for at, _ in rows]
    lines = [
        Line(f"needed for a verdict, with a chance of {100 * target:g} %", "asked", rows),
        Line("had", "candidate", had, dashed=True),
    ]
    axis = Axis("points by which the candidate fails more often", "")
    yield plot("Power: requests to the candidate", axis, Axis("", "", log=True), lines)
