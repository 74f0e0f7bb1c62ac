"""Samples → medians with their spread → a Markdown table for people and JSON for comparing runs."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sidecar.process import native
from tests.bench.cases import Case
from tests.bench.proxies import BEFORE, ENVOY, OURS

DIRECT = "no proxy"


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one proxy. Latencies in µs: of many connections (`p50`, `p99`) and of one (`single_…`)."""

    cpu_us: float
    rate: float
    p50: float
    p99: float
    single_p50: float
    single_p99: float
    resident_mib: float
    errors: int


class Goal(NamedTuple):
    """What this project wants of itself: times Envoy's, `most` at most; compiled, less than as Python."""

    case: str
    what: str
    most: float
    measured: float


Samples = Mapping[str, Sequence[Sample]]  # by row


def median(samples: Sequence[Sample], field: str) -> float:
    return statistics.median(float(getattr(sample, field)) for sample in samples)


def added(samples: Samples, row: str, field: str) -> float | None:
    """How much more than without a proxy, each round beside its own; None where nobody measured that."""
    direct = samples.get(DIRECT)
    if not direct or row == DIRECT:
        return None
    pairs = zip(samples[row], direct, strict=True)
    return statistics.median(getattr(own, field) - getattr(other, field) for own, other in pairs)


def ratio(samples: Sequence[Sample], others: Sequence[Sample] | None) -> str:
    """CPU time: of the medians, with the lowest and highest of the rounds: each sample beside the other's of the same
    round."""
    if not others or not median(others, "cpu_us"):
        return ""
    pairs = [sample.cpu_us / other.cpu_us for sample, other in zip(samples, others, strict=True)]
    return f"{median(samples, 'cpu_us') / median(others, 'cpu_us'):.2f} ({min(pairs):.2f}–{max(pairs):.2f})"


# ── the table ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def table(case: Case, samples: Samples) -> str:
    """The case's Markdown: a row per proxy; columns in which nothing was measured are left out."""
    columns = _columns(case, samples)
    rows = [[cell(name) for _, cell in columns] for name in samples]
    return f"### {case.name}\n\n{case.about}\n\n{markdown([title for title, _ in columns], rows)}"


def markdown(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without the columns in which every cell is empty."""
    used = [index for index in range(len(titles)) if any(row[index] for row in rows)]
    lines = [[titles[index] for index in used], ["---"] * len(used), *([row[index] for index in used] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _columns(case: Case, samples: Samples) -> list[tuple[str, Callable[[str], str]]]:
    def figure(field: str, digits: int = 0) -> Callable[[str], str]:
        def cell(row: str) -> str:
            value = median(samples[row], field)
            return f"{value:,.{digits}f}" if value else ""

        return cell

    def spread(row: str) -> str:
        cpu = [sample.cpu_us for sample in samples[row]]
        return f"{min(cpu):.1f}–{max(cpu):.1f}" if any(cpu) else ""

    def more(field: str) -> Callable[[str], str]:
        def cell(row: str) -> str:
            value = added(samples, row, field)
            return "" if value is None else f"{value:,.0f}"

        return cell

    def beside(other: str, only: str = "") -> Callable[[str], str]:
        """The ratio to another proxy, of the same variant."""

        def cell(row: str) -> str:
            name, comma, variant = row.partition(", ")
            if row == DIRECT or (only and name != only):
                return ""
            return "1.00" if name == other else ratio(samples[row], samples.get(other + comma + variant))

        return cell

    def grown(row: str) -> str:
        name, _, variant = row.partition(", ")
        if case.small is None or variant != case.name:
            return ""
        return ratio(samples[row], samples.get(f"{name}, {case.small.name}"))

    def per_mib(row: str) -> str:
        return f"{median(samples[row], 'cpu_us') / case.body_mib:,.0f}" if case.body_mib and row != DIRECT else ""

    def shown(row: str) -> str:
        errors = sum(sample.errors for sample in samples[row])
        return row + (f" ({errors} errors)" if errors else "")

    return [
        ("proxy", shown),
        ("µs CPU/request", figure("cpu_us", 1)),
        ("spread", spread),
        ("× Envoy", beside(ENVOY)),
        ("× before", beside(BEFORE, only=OURS)),
        (f"× {case.small.name}" if case.small else "", grown),
        ("µs CPU/MiB", per_mib),
        ("req/s", figure("rate")),
        ("p50", figure("p50")),
        ("p99", figure("p99")),
        ("p50 of 1", figure("single_p50")),
        ("p99 of 1", figure("single_p99")),
        ("+p50", more("single_p50")),
        ("+p99", more("single_p99")),
        ("MiB", figure("resident_mib")),
    ]


# ── the goals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def goals(case: Case, samples: Samples) -> list[Goal]:
    large = f", {case.name}" if case.small else ""
    ours, envoy = samples.get(OURS + large), samples.get(ENVOY + large)
    if not ours or not envoy:
        return []
    cpu = median(ours, "cpu_us") / median(envoy, "cpu_us")
    if case.small is not None:
        return _growth_goals(case, case.small, samples)
    if case.body_mib:
        return [Goal(case.name, "CPU/MiB", 1.0, cpu)]
    found = [Goal(case.name, "CPU/request", case.goal if native.active() else 1.0, cpu)]
    for title, field in (("added p50", "single_p50"), ("added p99", "single_p99")):
        own, other = added(samples, OURS, field), added(samples, ENVOY, field)
        if own is not None and other:
            found.append(Goal(case.name, title, 1.0, own / other))
    return found


def _growth_goals(large: Case, small: Case, samples: Samples) -> list[Goal]:
    """Flat where Envoy's is flat: what more of it costs, beside what it costs Envoy."""

    def grown(name: str) -> float:
        return median(samples[f"{name}, {large.name}"], "cpu_us") / median(samples[f"{name}, {small.name}"], "cpu_us")

    own, other = (median(samples[f"{name}, {large.name}"], "resident_mib") for name in (OURS, ENVOY))
    return [
        Goal(large.name, "growth of CPU/request", 1.0, grown(OURS) / grown(ENVOY)),
        Goal(large.name, "resident memory", 1.0, own / other),
    ]


def goals_table(found: Sequence[Goal]) -> str:
    rows = [
        [
            goal.case,
            goal.what,
            f"{goal.most:.2f}",
            f"{goal.measured:.2f}",
            "yes" if goal.measured <= goal.most else "no",
        ]
        for goal in found
    ]
    return markdown(["case", "what", "at most × Envoy", "measured", "reached"], rows)


# ── files ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def write(folder: Path, results: Mapping[str, Any], options: Mapping[str, Any]) -> Path:
    """All samples, as JSON; the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%d-%H%M%S.json")
    document = {
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cpu": cpu_name()},
        "options": dict(options),
        "cases": dict(results),
    }
    path.write_text(json.dumps(document, indent=1))
    return path


def hot_functions(stacks: str, count: int = 20) -> str:
    """The functions that took most time themselves, of collapsed stacks (`a;b;c 12`)."""
    own: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, samples = line.rpartition(" ")
        own[frames.rpartition(";")[2]] += int(samples)
    total = max(1, own.total())
    return "\n".join(f"{100 * samples / total:6.1f} %  {frame}" for frame, samples in own.most_common(count))


def cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
