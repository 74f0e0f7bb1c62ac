"""A strategy as a row of stages, each with the share that the candidate gets and what ends it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mesh.experiments.checks import Check, ErrorShare, ErrorShareIncrease, LatencyLimit, LatencyRatio
from mesh.experiments.resource import Check as CheckSpec
from mesh.experiments.resource import Experiment
from mesh.experiments.routes import Armed, Injection, Split, inject, mark, mirror, settle, split
from mesh.experiments.samples import DESTINATION, SOURCE
from mesh.experiments.strategy import Compare, Mirror, Step
from mesh.istio.virtual_service_actions import FaultPlace


class Role(StrEnum):
    """What a stage's traffic counts as: each version by its own name, everything as one of the two, or the baseline's
    own, told apart by chance. Copies are counted where they arrive."""

    VERSIONS = "versions"
    COPIES = "copies"
    HALVES = "halves"
    BASELINE = "baseline"
    CANDIDATE = "candidate"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Stage:
    """Ends when `duration` is over and the candidate has had `requests`; then, if asked for, when somebody or a webhook
    agrees."""

    name: str
    weight: int
    duration: float = 0.0
    requests: int = 0
    manual: bool = False
    webhook: str = ""
    role: Role = Role.VERSIONS
    fault: bool = False
    mirror: int = 0  # percent of the requests of which the candidate gets a copy
    compare: Compare | None = None  # who gets it instead, and compares

    @property
    def reporter(self) -> str:
        """Whose metrics tell what its requests did: the proxies that sent them, or those that got them."""
        return DESTINATION if self.role is Role.COPIES else SOURCE


def stages(spec: Experiment) -> tuple[Stage, ...]:
    strategy = spec.strategy
    if strategy.canary is not None:
        first = strategy.canary.mirror_first
        steps = tuple(_canary(step) for step in strategy.canary.steps)
        return steps if first is None else (_mirror(first), *steps)
    if strategy.mirror is not None:
        return (_mirror(strategy.mirror),)
    if strategy.aa is not None:
        role = Role.HALVES if spec.candidate is None else Role.VERSIONS
        share = strategy.aa.share if spec.candidate is not None else 0
        return (Stage("A/A", share, strategy.aa.duration or 0.0, strategy.aa.requests, role=role),)
    if strategy.ab is not None:
        return (Stage(f"{strategy.ab.share} %", strategy.ab.share, strategy.ab.duration or 0.0, strategy.ab.requests),)
    if strategy.blue_green is not None:
        return (
            Stage("baseline", 0, strategy.blue_green.warmup, role=Role.BASELINE),
            Stage("candidate", 100, strategy.blue_green.duration, role=Role.CANDIDATE),
        )
    assert strategy.fault is not None  # noqa: S101  (one of them is set)
    fault = strategy.fault
    steady = Stage("steady state", 0, fault.before or fault.duration, manual=fault.by_hand, role=Role.BASELINE)
    broken = Stage("fault", 0, fault.duration, role=Role.CANDIDATE, fault=True)
    if fault.recovery is None:
        return steady, broken
    return steady, broken, Stage("recovery", 0, fault.recovery, role=Role.NEITHER)


def _mirror(mirror: Mirror) -> Stage:
    name = f"copies of {mirror.percent} %"
    return Stage(
        name, 0, mirror.duration or 0.0, mirror.requests,
        role=Role.COPIES, mirror=mirror.percent, compare=mirror.compare,
    )  # fmt: skip


def _canary(step: Step) -> Stage:
    return Stage(f"{step.weight} %", step.weight, step.duration or 0.0, step.requests, step.manual, step.webhook)


def checks(spec: Experiment) -> tuple[Check, ...]:
    return tuple(_check(each) for each in spec.checks)


def _check(spec: CheckSpec) -> Check:
    if spec.error_share is not None:
        return ErrorShare(spec.error_share.max / 100)
    if spec.error_increase is not None:
        return ErrorShareIncrease(spec.error_increase.max / 100)
    if spec.latency is not None:
        return LatencyLimit(spec.latency.quantile, spec.latency.max * 1000)
    assert spec.latency_ratio is not None  # noqa: S101
    return LatencyRatio(spec.latency_ratio.quantile, spec.latency_ratio.max)


def route_name(spec: Experiment) -> str:
    """The VirtualService that an experiment changes."""
    return spec.target.virtual_service or spec.target.host.partition(".")[0]


def observed_host(spec: Experiment) -> str:
    """Whose requests are counted."""
    fault = spec.strategy.fault
    return (fault.observe if fault is not None else "") or spec.target.host


def routes_of(
    spec: Experiment, index: int, document: Mapping[str, Any] | None, name: str, namespace: str
) -> dict[str, Any]:
    """The VirtualService in a stage, made from what it was before the experiment."""
    row, stage = stages(spec), stages(spec)[index]
    place = (route_name(spec), namespace)
    if (fault := spec.strategy.fault) is not None:
        arms = fault.at is FaultPlace.UPSTREAM
        if (fault.delay or fault.abort or fault.throttle or fault.reset) and (stage.fault or arms):
            armed = Armed.NO if not arms else Armed.STRIKING if stage.fault else Armed.WAITING
            return inject(document, *place, _injection(spec, armed), name)
        return mark(document, *place, spec.target.host, name)
    if stage.role is Role.HALVES:
        return mark(document, *place, spec.target.host, name)
    if stage.mirror:
        to = {"host": stage.compare.host, "port": {"number": stage.compare.port}} if stage.compare else None
        return mirror(document, *place, _split(spec, 0, 0, 0), stage.mirror, name, to)
    before = row[index - 1].weight if index else 0
    return split(document, *place, _split(spec, stage.weight, index, before), name)


def settled_routes(
    spec: Experiment, document: Mapping[str, Any] | None, name: str, namespace: str, subset: str
) -> dict[str, Any]:
    """The VirtualService with everything at one version."""
    return settle(document, route_name(spec), namespace, _split(spec, 100, 0, 0), subset, name)


def _split(spec: Experiment, weight: int, step: int, before: int) -> Split:
    canary, ab = spec.strategy.canary, spec.strategy.ab
    cookie = (canary.sticky_cookie if canary else ab.sticky_cookie if ab else None) or ""
    match = tuple(each.model_dump(by_alias=True, exclude_defaults=True) for each in ab.match) if ab else ()
    assert spec.baseline is not None and spec.candidate is not None  # noqa: S101  (its rules)
    return Split(
        spec.target.host, spec.baseline.subset, spec.candidate.subset, weight, spec.target.port,
        match, cookie, step, before,
    )  # fmt: skip


def _injection(spec: Experiment, armed: Armed) -> Injection:
    fault = spec.strategy.fault
    assert fault is not None  # noqa: S101
    body: dict[str, Any] = {} if fault.at is FaultPlace.CLIENT else {"at": fault.at.value}
    if fault.delay is not None:
        body["delay"] = {"fixedDelay": f"{fault.delay.fixed:g}s", "percentage": {"value": fault.delay.percent}}
    if fault.abort is not None:
        body["abort"] = {"httpStatus": fault.abort.status, "percentage": {"value": fault.abort.percent}}
    if fault.throttle is not None:
        body["throttle"] = {
            "limitKbps": fault.throttle.limit_kbps,
            "percentage": {"value": fault.throttle.percent},
        }
    if fault.reset is not None:
        body["reset"] = {"percentage": {"value": fault.reset.percent}}
    match = tuple(each.model_dump(by_alias=True, exclude_defaults=True) for each in fault.match)
    return Injection(spec.target.host, body, match, armed)
