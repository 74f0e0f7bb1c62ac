"""Experiment: a question about two versions of a service, and what may be done to answer it.

Percentages are written as numbers of percent: `max: 0.5` under `errorIncrease` is half a percentage point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from mesh.istio.model import Found, Message
from mesh.istio.scalars import (
    Count,
    DnsLabel,
    Duration,
    Host,
    OptionalDnsLabel,
    PortNumber,
    Rows,
    WholePercent,
    Word,
    is_header_name,
    wrong,
)
from mesh.istio.virtual_service_match import HTTPMatchRequest

GROUP: Final = "mesh.asyncmesh.io"
LEAST_INTERVAL: Final = 0.2


def _share(value: float) -> float:
    if not 0 <= value <= 100:
        raise wrong(f"must be a percentage from 0 to 100, not {value:g}")
    return value


def _chance(value: float) -> float:
    if not 0.0001 <= value <= 0.5:
        raise wrong(f"must be a probability from 0.0001 to 0.5, not {value:g}")
    return value


def _quantile(value: float) -> float:
    if not 0 < value < 1:
        raise wrong(f"must lie between 0 and 1, as 0.99 does, not {value:g}")
    return value


def _ratio(value: float) -> float:
    if not 0.1 <= value <= 32:
        raise wrong(f"must be a factor from 0.1 to 32, not {value:g}")
    return value


def _interval(value: float) -> float:
    if value < LEAST_INTERVAL:
        raise wrong(f"must be at least {LEAST_INTERVAL:g}s")
    return value


def _cookie(value: str) -> str:
    if not is_header_name(value):
        raise wrong("must be the name of a cookie")
    return value


Percent = Annotated[float, AfterValidator(_share)]
Chance = Annotated[float, AfterValidator(_chance)]
Quantile = Annotated[float, AfterValidator(_quantile)]
Ratio = Annotated[float, AfterValidator(_ratio)]
Interval = Annotated[Duration, AfterValidator(_interval)]
Cookie = Annotated[str, AfterValidator(_cookie)]


class Target(Message):
    """`virtualService` is the one whose routes are changed, named as the host unless told; it is made if there is none."""

    host: Host
    port: PortNumber | None = None
    virtual_service: OptionalDnsLabel = ""


class Version(Message):
    """A subset of the host; its labels name a `version`."""

    subset: DnsLabel


class Step(Message):
    """`weight` percent to the candidate, until so much time is over and so many requests have come to it. `manual` waits
    for `mesh experiment promote`, `webhook` for a POST that is answered with 200."""

    at_least_one = (("duration", "requests", "manual", "webhook"),)

    weight: WholePercent
    duration: Duration | None = None
    requests: Count = 0
    manual: bool = False
    webhook: str = ""

    def rules(self) -> Iterator[Found]:
        if self.webhook and not self.webhook.startswith("http://"):
            yield Found(("webhook",), "must be a http:// URL")


class Canary(Message):
    """`stickyCookie` keeps a browser with the version that it was once given, until it moves on to the candidate."""

    steps: Rows[Step]
    sticky_cookie: Cookie | None = None

    def rules(self) -> Iterator[Found]:
        if not self.steps:
            yield Found(("steps",), "must have at least one step")
        for index, step in enumerate(self.steps):
            if index and step.weight <= self.steps[index - 1].weight:
                yield Found(("steps", index, "weight"), "must be more than that of the step before")
            if step.weight == 0:
                yield Found(("steps", index, "weight"), "must be more than 0")


class AB(Message):
    """`share` percent of the requests that match (all, without `match`), for as long as `duration`."""

    share: WholePercent = 50
    match: Rows[HTTPMatchRequest] = ()
    sticky_cookie: Cookie | None = None
    duration: Duration | None = None
    requests: Count = 0

    def rules(self) -> Iterator[Found]:
        if not 0 < self.share < 100:
            yield Found(("share",), "must lie between 0 and 100")


class BlueGreen(Message):
    """All at once: the candidate gets everything for `duration`, compared with the baseline's `warmup` before."""

    warmup: Duration
    duration: Duration


class Delay(Message):
    fixed: Duration
    percent: Percent = 100.0


class Abort(Message):
    status: Annotated[int, Field(ge=200, le=599)]
    percent: Percent = 100.0


class Fault(Message):
    """A fault for the requests to the host (those that match), for `duration`, after a steady state of `before` (as long,
    unless told). The checks compare the two as seen by those who call `observe` (the host itself, unless told);
    `recovery` is how long is watched afterwards."""

    at_least_one = (("delay", "abort"),)

    delay: Delay | None = None
    abort: Abort | None = None
    match: Rows[HTTPMatchRequest] = ()
    observe: str = ""
    before: Duration | None = None
    duration: Duration
    recovery: Duration | None = None


class Strategy(Message):
    exactly_one = (("canary", "ab", "blueGreen", "fault"),)

    canary: Canary | None = None
    ab: AB | None = None
    blue_green: BlueGreen | None = None
    fault: Fault | None = None


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
    heard of the proxies; what happens in `warmUp` after the begin (cold caches, first connections) is no evidence."""

    question: str = ""
    target: Target
    baseline: Version | None = None
    candidate: Version | None = None
    strategy: Strategy
    checks: Rows[Check] = ()
    guards: Rows[Guard] = ()
    alpha: Chance = 0.05
    power: Annotated[float, AfterValidator(_quantile)] = 0.8
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
            if version is None and self.strategy.fault is None:
                yield Found((name,), "is required")
            if version is not None and self.strategy.fault is not None:
                yield Found((name,), "has no place beside a fault, which is for the whole host")
        if self.baseline is not None and self.candidate is not None and self.baseline.subset == self.candidate.subset:
            yield Found(("candidate", "subset"), "must be another subset than the baseline's")


class ExperimentRun(Message):
    """How far an experiment has come: written by the control plane, in one revision with the routes that it changes."""

    record: dict[str, Any]


def summary(spec: Mapping[str, Any]) -> str:
    """`reviews: v3 against v1, canary`, and of a run what it is doing."""
    record = spec.get("record")
    if isinstance(record, Mapping):
        return f"{record.get('phase', '')}: {record.get('reason', '')}"
    names = [str(spec[side].get("subset", "")) for side in ("candidate", "baseline") if side in spec]
    strategy = ", ".join(spec.get("strategy", {}))
    return f"{spec.get('target', {}).get('host', '')}: {', '.join(filter(None, [' against '.join(names), strategy]))}"
