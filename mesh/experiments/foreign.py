"""Flagger's `Canary` and Argo's `AnalysisTemplate` → an Experiment, and what could not be carried over. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from mesh.errors import MeshError

API_VERSION: Final = "mesh.asyncmesh.io/v1alpha1"
MOST_STEPS: Final = 50
CONDITION = re.compile(r"result(?:\[0\])?\s*(<=|<|>=|>)\s*([0-9.]+)")


class ForeignError(MeshError):
    """A document that is neither."""


def translate(text: str) -> tuple[dict[str, Any], list[str]]:
    """The Experiment's document, and a line for all that is not in it."""
    try:
        documents = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
    except yaml.YAMLError as error:
        raise ForeignError(f"is not YAML: {error}") from error
    for document in documents:
        if document.get("kind") == "Canary":
            return _canary(document)
        if document.get("kind") in ("AnalysisTemplate", "ClusterAnalysisTemplate"):
            return _template(document)
    kinds = ", ".join(str(each.get("kind")) for each in documents) or "nothing"
    raise ForeignError(f"has {kinds}; a Canary of flagger.app or an AnalysisTemplate of argoproj.io is wanted")


def _canary(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    spec = document.get("spec") or {}
    analysis = spec.get("analysis") or spec.get("canaryAnalysis") or {}
    name = str((document.get("metadata") or {}).get("name", "canary"))
    host = str((spec.get("targetRef") or {}).get("name", name))
    left = [f"spec.{field}" for field in spec if field not in ("targetRef", "analysis", "canaryAnalysis", "service")]
    left += [f"spec.service.{field}" for field in spec.get("service") or {} if field != "port"]
    checks: list[dict[str, Any]] = []
    guards: list[dict[str, Any]] = []
    for metric in analysis.get("metrics") or []:
        _flagger_metric(metric, checks, guards, left)
    interval = str(analysis.get("interval", "1m"))
    known = ("interval", "stepWeight", "stepWeights", "maxWeight", "metrics", "threshold", "iterations", "match")
    left += [f"spec.analysis.{field}" for field in analysis if field not in known]
    if "threshold" in analysis:
        left.append(f"spec.analysis.threshold ({analysis['threshold']} failed looks): statistics decide instead")
    strategy = _flagger_strategy(analysis, interval)
    if not checks:
        checks.append({"errorIncrease": {"max": 0.5}})
        left.append("there was no check that is known here: errorIncrease 0.5 stands in")
    left.append("names of versions: the subsets are called `primary` and `canary`; a DestinationRule must have them")
    return _experiment(name, host, strategy, checks, guards, interval), left


def _flagger_strategy(analysis: Mapping[str, Any], interval: str) -> dict[str, Any]:
    if analysis.get("iterations"):
        rounds = int(analysis["iterations"])
        share: dict[str, Any] = {"share": 50, "duration": _times(interval, rounds)}
        if analysis.get("match"):
            share["match"] = analysis["match"]
        return {"ab": share}
    weights = [int(weight) for weight in analysis.get("stepWeights") or []]
    if not weights:
        step, most = int(analysis.get("stepWeight", 10)), int(analysis.get("maxWeight", 50))
        weights = list(range(step, most + 1, step))[:MOST_STEPS] or [most]
    return {"canary": {"steps": [{"weight": weight, "duration": interval} for weight in weights]}}


def _flagger_metric(
    metric: Mapping[str, Any], checks: list[dict[str, Any]], guards: list[dict[str, Any]], left: list[str]
) -> None:
    limits = metric.get("thresholdRange") or {}
    low, high = limits.get("min", metric.get("threshold")), limits.get("max", metric.get("threshold"))
    match metric.get("name"):
        case "request-success-rate" | "istio_requests_total" if low is not None:
            checks.append({"errorShare": {"max": round(100 - float(low), 6)}})
        case "request-duration" | "istio_request_duration_seconds_bucket" if high is not None:
            checks.append({"latency": {"quantile": 0.99, "max": f"{float(high):g}ms"}})
        case name if metric.get("query") and high is not None:
            guards.append({"promql": str(metric["query"]), "max": float(high)})
            left.append(f"{name}: its query became a guard, which needs spec.prometheus")
        case name:
            left.append(f"metric {name}: its template or range is not known here")


def _template(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    spec = document.get("spec") or {}
    name = str((document.get("metadata") or {}).get("name", "analysis"))
    left = [f"spec.{field}" for field in spec if field not in ("metrics", "args")]
    left += [f"spec.args.{each.get('name')}: put its value into the query" for each in spec.get("args") or []]
    guards, url, interval = [], "", "1m"
    for metric in spec.get("metrics") or []:
        prometheus = (metric.get("provider") or {}).get("prometheus")
        limit = _limit(metric)
        interval = str(metric.get("interval", interval))
        if prometheus is None or limit is None:
            left.append(f"metric {metric.get('name')}: only Prometheus queries with one comparison are known here")
            continue
        url = url or str(prometheus.get("address", ""))
        query, most = limit
        guards.append({"promql": query.format(" ".join(str(prometheus.get("query", "")).split())), "max": most})
    checks: list[dict[str, Any]] = [{"errorIncrease": {"max": 0.5}}]
    left.append(
        "an AnalysisTemplate has no steps and no baseline: the canary and errorIncrease 0.5 are this mesh's own"
    )
    steps = {"canary": {"steps": [{"weight": 10, "duration": interval}, {"weight": 50, "duration": interval}]}}
    result = _experiment(name, name, steps, checks, guards, interval)
    if guards:
        result["spec"]["prometheus"] = url if url.startswith("http://") else "http://127.0.0.1:9090"
    return result, left


def _limit(metric: Mapping[str, Any]) -> tuple[str, float] | None:
    """What a query has to stay below: `{}` stands for it, turned round where it has to stay above."""
    for field, wanted in (("successCondition", True), ("failureCondition", False)):
        found = CONDITION.fullmatch(str(metric.get(field, "")).strip())
        if found:
            below = found[1].startswith("<") is wanted
            return ("({})", float(found[2])) if below else ("-({})", -float(found[2]))
    return None


def _experiment(
    name: str,
    host: str,
    strategy: dict[str, Any],
    checks: list[dict[str, Any]],
    guards: list[dict[str, Any]],
    interval: str,
) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "question": f"Is the canary of {host} as good as the primary?",
        "target": {"host": host},
        "baseline": {"subset": "primary"},
        "candidate": {"subset": "canary"},
        "strategy": strategy,
        "checks": checks,
        "interval": interval,
    }
    if guards:
        spec["guards"] = guards
    return {"apiVersion": API_VERSION, "kind": "Experiment", "metadata": {"name": name}, "spec": spec}


def _times(duration: str, factor: int) -> str:
    found = re.fullmatch(r"(\d+)([a-z]+)", duration)
    return f"{int(found[1]) * factor}{found[2]}" if found else duration
