"""An experiment as plain data: what the API answers, `watch` shows and reports are made of. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mesh.experiments.checks import Interval, quantile_interval, share_interval
from mesh.experiments.data import Counts
from mesh.experiments.lifecycle import AGREEMENT
from mesh.experiments.resource import Experiment
from mesh.experiments.run import Run
from mesh.experiments.stages import stages
from mesh.experiments.verdict import Finding, Judgement

QUANTILES = (0.5, 0.9, 0.99)


def describe(
    document: Mapping[str, Any], spec: Experiment, run: Run | None, judgement: Judgement, following: str, now: float
) -> dict[str, Any]:
    """`following` is what happens next. Numbers that are not known are null."""
    metadata = document["metadata"]
    row = stages(spec)
    head = {
        "name": metadata["name"],
        "namespace": metadata.get("namespace", "default"),
        "question": spec.question,
        "target": spec.target.host,
        "strategy": next(iter(document["spec"]["strategy"])),
        "baseline_name": spec.baseline.subset if spec.baseline else "before",
        "candidate_name": _candidate(spec),
        "alpha": spec.alpha,
        "interval": spec.interval,
        "stages": [{"name": stage.name, "weight": stage.weight} for stage in row],
        "document": document,
    }
    if run is None:
        return {**head, "phase": "waiting", "reason": following, "next": following, "events": [], "points": []}
    seconds = max((run.ended or now) - run.began, 0.001)
    rate = run.candidate.requests / seconds
    return {
        **head,
        "phase": run.phase.value,
        "reason": run.reason,
        "next": "" if run.phase.ended else following,
        "gate": row[run.stage].manual and AGREEMENT in following,
        "stage": run.stage,
        "weight": row[run.stage].weight,
        "began": run.began,
        "ended": run.ended or None,
        "seconds": seconds,
        "rate": rate,
        "baseline": side(run.baseline, spec.alpha),
        "candidate": side(run.candidate, spec.alpha),
        "verdict": judgement.verdict.value,
        "sentence": judgement.sentence(rate),
        "more": judgement.more,
        "checks": [_finding(finding) for finding in judgement.findings],
        "events": [asdict(event) for event in run.events],
        "points": [asdict(point) for point in run.points],
    }


def _candidate(spec: Experiment) -> str:
    if spec.candidate is not None:
        return spec.candidate.subset
    return "the other half" if spec.strategy.aa is not None else "during the fault"


def side(counts: Counts, alpha: float) -> dict[str, Any]:
    """One version: requests, success with its interval, latency quantiles with theirs, and the cumulative distribution."""
    latencies = counts.latencies
    failed = share_interval(counts.failures, counts.requests, alpha)
    success = Interval(*(None if each is None else 1 - each for each in (failed.estimate, failed.high, failed.low)))
    return {
        "requests": counts.requests,
        "failures": counts.failures,
        "success": asdict(success),
        "latency": {f"p{100 * q:g}": asdict(quantile_interval(latencies, q, alpha)) for q in QUANTILES},
        "bounds": list(latencies.bounds),
        "shares": [count / latencies.total for count in latencies.counts] if latencies.total else [],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "state": finding.state.value,
        "evidence_against": _bounded(finding.violated),
        "evidence_for": _bounded(finding.kept),
        "more": finding.more,
        "effect": asdict(finding.effect),
    }


def _bounded(value: float) -> float | None:
    """JSON has no infinity."""
    return value if math.isfinite(value) else None
