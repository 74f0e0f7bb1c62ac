"""What a run found: a summary for the terminal, and the page docs/mutation.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.mutate.mutants import Mutant
from tests.mutate.reasons import Reasons
from tests.mutate.run import Results, Verdict

_NOTICED = (Verdict.KILLED, Verdict.HANGS)


@dataclass(frozen=True, slots=True)
class Row:
    killed: int
    equivalent: int
    alive: int

    @property
    def share(self) -> str:
        of = self.killed + self.alive
        return f"{100 * self.killed / of:.1f} %" if of else "-"


class Report:
    def __init__(self, results: Results, reasons: Reasons) -> None:
        self._results = results
        self._reasons = reasons
        unnoticed = sorted(
            (mutant for mutant, verdict in results.verdicts.items() if verdict not in _NOTICED),
            key=lambda mutant: (mutant.file, mutant.line, mutant.change),
        )
        self._equivalent = [mutant for mutant in unnoticed if reasons.equivalent(mutant)]
        self._alive = [mutant for mutant in unnoticed if not reasons.equivalent(mutant)]

    def row(self, package: str = "") -> Row:
        inside = f"{package}/" if package else ""
        killed = [mutant for mutant, verdict in self._results.verdicts.items() if verdict in _NOTICED]
        counts = (
            sum(mutant.file.startswith(inside) for mutant in some) for some in (killed, self._equivalent, self._alive)
        )
        return Row(*counts)

    def summary(self) -> str:
        lines = [f"{mutant}  {self._results.verdicts[mutant]}" for mutant in self._alive]
        lines += [f"reasons.toml names what is not there: {name}" for name in self._reasons.stale(self._results.known)]
        lines += [
            f"not asked any more, as it failed without a change: {name}" for name in sorted(self._results.unsteady)
        ]
        lines += [f"{package}: {row.share} ({row.killed} killed, {row.alive} alive)" for package, row in self._rows()]
        return "\n".join(lines)

    def _rows(self) -> Iterator[tuple[str, Row]]:
        for package in self._results.total:
            yield package, self.row(package)
        yield "all", self.row()

    def page(self, command: str) -> str:
        lines = [
            *_INTRODUCTION,
            "",
            f"    {command}",
            "",
            "| package | mutants | tried | killed | equivalent | alive | killed of those that are not equivalent |",
            "|---|---|---|---|---|---|---|",
        ]
        for package, row in self._rows():
            total = self._results.total.get(package, sum(self._results.total.values()))
            tried = row.killed + row.equivalent + row.alive
            cells = (package, total, tried, row.killed, row.equivalent, row.alive, row.share)
            lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
        lines += [
            "",
            "## Alive",
            "",
            "What is noticed since was alive in this run, and counts as alive above.",
            "",
            *_listed(self._alive, self._reasons.accepted),
        ]
        lines += ["", "## Equivalent", "", *_listed(self._equivalent, self._reasons.equivalent)]
        return "\n".join(lines).rstrip() + "\n"


_INTRODUCTION = (
    "# What the tests notice",
    "",
    "`make mutate` changes the source in small ways (a comparison turned, an operand or a statement left out, another",
    "constant) and runs the tests that reach the changed function, until one fails. A change that none notices shows",
    "what no test holds on to. Words for people and sizes that only have to be about so large are left alone.",
    "",
    "Each package gets as many mutants, drawn by the seed. A test has noticed when it fails with the change and, right",
    "then, passes without; one that hangs is told by its CPU time, so a busy machine makes no difference. Only tests that",
    "run in one process and are quick are asked (`LEFT_OUT` names the others, the state machines among them): those, what a",
    "real Envoy judges (`tests/oracle`) and tests of whole processes come on top. Mutants whose source changed between",
    "the run and the writing of this page are not on it.",
    "Why a mutant may stay alive is written down in `tests/mutate/reasons.toml`. This page is from the run",
)


def _listed(found: list[Mutant], reason_of: Callable[[Mutant], str]) -> list[str]:
    if not found:
        return ["None."]
    return [
        f"- `{mutant.file}` `{mutant.qualname or 'module'}`: {mutant.change.replace(': ', ': `', 1)}`:"
        f" {reason_of(mutant) or '(no reason yet)'}"
        for mutant in found
    ]
