"""The report as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mesh.experiments.report import text


def markdown(found: text.Experiment, environment: dict[str, Any], source: str) -> str:
    """`source` is the experiment's YAML."""
    lines = [
        f"# {found['question'] or found['name']}",
        "",
        f"**{found['phase']}**: {found['reason'] or found['next']}",
        "",
    ]
    if "baseline" in found:
        lines += [found["sentence"], "", "## Versions", "", *_table(text.VERSION_HEADINGS, text.versions(found)), ""]
        lines += [*_table(text.LATENCY_HEADINGS, text.latencies(found)), ""]
        lines += ["## Checks", "", *_table(text.CHECK_HEADINGS, text.checks(found)), ""]
        lines += ["## Timeline", "", *_table(text.EVENT_HEADINGS, text.events(found)), ""]
    lines += ["## Setup", "", "```yaml", source.rstrip("\n"), "```", "", "## Environment", ""]
    lines += [f"- {name}: {value}" for name, value in environment.items()]
    lines += ["", METHOD, ""]
    return "\n".join(lines)


METHOD = (
    "Intervals are always-valid confidence sequences: they hold at every look. Evidence is a product of mixture "
    "likelihood ratios, least over the baseline's unknown share (docs/experiments.md names the sources). Latency "
    "quantiles are interpolated within buckets, as Prometheus' histogram_quantile does. Istio's buckets end at 0.5, 1, 5, "
    "10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000 ms …: what a quantile is within one is not known any better."
)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    named = [heading.capitalize() for heading in headings]
    lines = [f"| {' | '.join(named)} |", f"|{'---|' * len(named)}"]
    return lines + [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
