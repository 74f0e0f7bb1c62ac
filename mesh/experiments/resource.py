"""Experiment: a question about two versions of a service, and what may be done to answer it.

Percentages are written as numbers of percent: `max: 0.5` under `errorIncrease` is half a percentage point.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from pydantic import Field

from mesh.experiments.scalars import Chance, Interval, MetricLabels, Percent, Quantile, Ratio
from mesh.experiments.schedule import Schedule
from mesh.experiments.strategy import Strategy
from mesh.istio.model import Found, Message
from mesh.istio.scalars import Count, DnsLabel, Duration, Host, OptionalDnsLabel, PortNumber, Rows, Word

GROUP: Final = "mesh.asyncmesh.io"


class Target(Message):
    """`virtualService` is the one whose routes are changed, named as the host unless told; it is made if there is none."""

    host: Host
    port: PortNumber | None = None
    virtual_service: OptionalDnsLabel = ""


class Version(Message):
    """A subset of the host; its labels name a `version`."""

    subset: DnsLabel


class ShareLimit(Message):
    max: Percent


class LatencyLimit(Message):
    quantile: Quantile = 0.99
    max: Duration


class LatencyRatio(Message):
    quantile: Quantile = 0.99
    max: Ratio


class Check(Message):
    """One of: `errorShare` of the candidate, `errorIncrease` over the baseline in points, `latency` of the candidate,
    `latencyRatio` to the baseline."""

    exactly_one = (("errorShare", "errorIncrease", "latency", "latencyRatio"),)

    error_share: ShareLimit | None = None
    error_increase: ShareLimit | None = None
    latency: LatencyLimit | None = None
    latency_ratio: LatencyRatio | None = None


class Guard(Message):
    """A plain limit on what the candidate did since the last look: no statistics, at once. It counts from
    `minimumRequests` on; `promql` is asked of the Prometheus and must give one number."""

    exactly_one = (("errorShare", "latency", "promql"),)

    error_share: ShareLimit | None = None
    latency: LatencyLimit | None = None
    promql: str = ""
    max: float | None = None
    minimum_requests: Count = 20

    def rules(self) -> Iterator[Found]:
        if self.promql and self.max is None:
            yield Found(("max",), "is required with promql")
        if self.max is not None and not self.promql:
            yield Found(("max",), "belongs to promql")


class Undecided(StrEnum):
    """What becomes of an experiment whose time is over without a verdict."""

    ROLL_BACK = "rollback"
    PROMOTE = "promote"


class Experiment(Message):
    """`alpha` bounds the chance of rolling back a candidate that keeps all checks, and that of promoting one that does
    not; `errorBudget` is how many requests may fail in all before it is rolled back; `noData` how long nothing may be
    heard of the proxies; what happens in `warmUp` after the begin (cold caches, first connections) is no evidence;
    `schedule` says when it may begin and go on; only requests whose metrics have the labels of `where` count."""

    question: str = ""
    target: Target
    baseline: Version | None = None
    candidate: Version | None = None
    strategy: Strategy
    schedule: Schedule | None = None
    where: MetricLabels = Field(default_factory=dict)
    checks: Rows[Check] = ()
    guards: Rows[Guard] = ()
    alpha: Chance = 0.05
    power: Quantile = 0.8
    interval: Interval = 5.0
    warm_up: Duration | None = None
    max_duration: Duration = 3600.0
    error_budget: Count = 0
    no_data: Duration = 60.0
    on_inconclusive: Word[Undecided] = Undecided.ROLL_BACK
    prometheus: str = ""

    def rules(self) -> Iterator[Found]:
        if not self.checks and self.strategy.ab is None:
            yield Found(("checks",), "must have at least one check: nothing would be decided")
        yield from self._version_rules()
        if self.prometheus and not self.prometheus.startswith("http://"):
            yield Found(("prometheus",), "must be a http:// URL")
        for index, guard in enumerate(self.guards):
            if guard.promql and not self.prometheus:
                yield Found(("guards", index, "promql"), "needs spec.prometheus")

    def _version_rules(self) -> Iterator[Found]:
        given = {"baseline": self.baseline, "candidate": self.candidate}
        for name, version in given.items():
            alone = name == "candidate" and self.strategy.aa is not None
            if version is None and self.strategy.fault is None and not alone:
                yield Found((name,), "is required")
            if version is not None and self.strategy.fault is not None:
                yield Found((name,), "has no place beside a fault, which is for the whole host")
        if self.baseline is not None and self.candidate is not None and self.baseline.subset == self.candidate.subset:
            hint = "; leave it out to have its requests told apart by chance" if self.strategy.aa is not None else ""
            yield Found(("candidate", "subset"), f"must be another subset than the baseline's{hint}")


class ExperimentRun(Message):
    """How far an experiment has come: written by the control plane, in one revision with the routes that it changes."""

    record: dict[str, Any]


def fingerprint(spec: Experiment) -> str:
    """Tells an experiment from what it was before it was changed."""
    text = json.dumps(spec.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def summary(spec: Mapping[str, Any]) -> str:
    """`reviews: v3 against v1, canary`, and of a run what it is doing."""
    record = spec.get("record")
    if isinstance(record, Mapping):
        return f"{record.get('phase', '')}: {record.get('reason', '')}"
    names = [str(spec[side].get("subset", "")) for side in ("candidate", "baseline") if side in spec]
    strategy = ", ".join(spec.get("strategy", {}))
    return f"{spec.get('target', {}).get('host', '')}: {', '.join(filter(None, [' against '.join(names), strategy]))}"
