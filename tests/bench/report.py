"""Samples → medians with their spread → a Markdown table for people and JSON for comparing runs."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.cases import Case
from tests.bench.proxies import BEFORE, ENVOY, OURS

COLUMNS = (
    "proxy",
    "µs CPU/request",
    "spread",
    "× Envoy",
    "× before",
    "µs CPU/MiB",
    "req/s",
    "p50",
    "p99",
    "p50 of 1",
    "p99 of 1",
    "MiB",
)


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


def median(samples: Sequence[Sample], field: str) -> float:
    return statistics.median(float(getattr(sample, field)) for sample in samples)


def table(case: Case, samples: Mapping[str, Sequence[Sample]], direct: Sample) -> str:
    """The case's Markdown: a row per proxy, the last one without any proxy between."""
    rows = [_row(case, name, found, samples) for name, found in samples.items()]
    rows.append(
        ["no proxy", "", "", "", "", "", f"{direct.rate:,.0f}", *_latencies([direct]), ""],
    )
    lines = [f"### {case.name}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS)), *map(_line, rows)]
    return "\n".join(lines) + "\n"


def _ratio(samples: Sequence[Sample], others: Sequence[Sample] | None) -> str:
    """Of the medians, with the lowest and highest of the rounds: each sample beside the other's of the same round."""
    if not others:
        return ""
    pairs = [sample.cpu_us / other.cpu_us for sample, other in zip(samples, others, strict=True)]
    return f"{median(samples, 'cpu_us') / median(others, 'cpu_us'):.2f} ({min(pairs):.2f}–{max(pairs):.2f})"


def _row(case: Case, name: str, samples: Sequence[Sample], everybody: Mapping[str, Sequence[Sample]]) -> list[str]:
    cpu = [sample.cpu_us for sample in samples]
    middle = statistics.median(cpu)
    errors = sum(sample.errors for sample in samples)
    return [
        name + (f" ({errors} errors)" if errors else ""),
        f"{middle:.1f}",
        f"{min(cpu):.1f}–{max(cpu):.1f}",
        _ratio(samples, everybody.get(ENVOY)) if name != ENVOY else "1.00",
        _ratio(samples, everybody.get(BEFORE)) if name == OURS else "",
        f"{middle / case.body_mib:,.0f}" if case.body_mib else "",
        f"{median(samples, 'rate'):,.0f}",
        *_latencies(samples),
        f"{median(samples, 'resident_mib'):.0f}",
    ]


def _latencies(samples: Sequence[Sample]) -> list[str]:
    return [f"{median(samples, field):,.0f}" for field in ("p50", "p99", "single_p50", "single_p99")]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write(folder: Path, results: Mapping[str, Mapping[str, Sequence[Sample]]], options: Mapping[str, Any]) -> Path:
    """All samples, as JSON; the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%d-%H%M%S.json")
    document = {
        "machine": {"python": platform.python_version(), "system": platform.platform(), "cpu": _cpu()},
        "options": dict(options),
        "cases": {
            case: {name: [asdict(sample) for sample in samples] for name, samples in proxies.items()}
            for case, proxies in results.items()
        },
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


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
