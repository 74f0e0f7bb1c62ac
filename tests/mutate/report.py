"""What a run found: a summary for the terminal, and the page docs/mutation.md."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable

from tests.mutate.equivalent import reason_of
from tests.mutate.mutants import Mutant
from tests.mutate.run import MutationRun, Verdict

_NOTICED = (Verdict.KILLED, Verdict.TIMED_OUT)


def _share(killed: int, of: int) -> str:
    return f"{100 * killed / of:.1f} %" if of else "-"


def _survivors(run: MutationRun) -> list[Mutant]:
    alive = (Verdict.SURVIVED, Verdict.NOT_REACHED)
    found = [mutant for mutant, verdict in run.results.items() if verdict in alive and not reason_of(mutant)]
    return sorted(found, key=lambda mutant: (mutant.file, mutant.line))


def _counts(run: MutationRun, prefix: str = "") -> tuple[int, int, int]:
    """(killed, equivalent, alive)."""
    counted = Counter[str]()
    for mutant, verdict in run.results.items():
        if verdict is Verdict.NOT_APPLIED or not mutant.file.startswith(prefix):
            continue
        counted["killed" if verdict in _NOTICED else "equivalent" if reason_of(mutant) else "alive"] += 1
    return counted["killed"], counted["equivalent"], counted["alive"]


def summary(run: MutationRun) -> str:
    killed, equivalent, alive = _counts(run)
    lines = [f"{mutant}  [{mutant.qualname}] {run.results[mutant]}" for mutant in _survivors(run)]
    applied = sum(verdict is not Verdict.NOT_APPLIED for verdict in run.results.values())
    lines.append(
        f"{applied} of {run.total} mutants tried: {killed} killed, {equivalent} equivalent, {alive} alive:"
        f" {_share(killed, killed + alive)} of those that are not equivalent"
    )
    return "\n".join(lines)


def page(run: MutationRun, options: argparse.Namespace) -> str:
    packages = sorted({mutant.file.rsplit("/", 1)[0] for mutant in run.results})
    tried = sum(_counts(run))
    lines = [
        "# What the tests notice",
        "",
        "`make mutate` changes the source in small ways (a comparison turned, an operand or a statement left out, another",
        "constant) and runs the tests that reach the changed function, until one fails. A change that none notices shows",
        "what no test holds on to. Which mutants come first depends on the seed; how many, on the time.",
        "",
        f'    make mutate ARGS="--minutes {options.minutes:g} --seed {options.seed}"',
        "",
        f"This page is from such a run: {tried} of {run.total} mutants.",
        "",
        "| package | tried | killed | equivalent | alive | killed of those that are not equivalent |",
        "|---|---|---|---|---|---|",
    ]
    for package in (*packages, ""):
        killed, equivalent, alive = _counts(run, package)
        row = (package or "all", killed + equivalent + alive, killed, equivalent, alive, _share(killed, killed + alive))
        lines.append("| " + " | ".join(str(cell) for cell in row) + " |")
    lines += ["", "## Alive", "", *_listed(_survivors(run)), "", "## Equivalent", ""]
    equal = [mutant for mutant, verdict in run.results.items() if verdict not in _NOTICED and reason_of(mutant)]
    lines += [f"{line}: {reason}" for line, reason in _reasons(equal)]
    return "\n".join(lines).rstrip() + "\n"


def _listed(found: Iterable[Mutant]) -> list[str]:
    return [f"- `{mutant.file}` `{mutant.qualname or 'module'}`: {mutant.kind} in `{mutant.text}`" for mutant in found]


def _reasons(found: Iterable[Mutant]) -> list[tuple[str, str]]:
    ordered = sorted(found, key=lambda mutant: (mutant.file, mutant.line))
    return [(line, reason_of(mutant)) for mutant, line in zip(ordered, _listed(ordered), strict=True)]
