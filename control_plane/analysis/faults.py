"""Faults: whether what they are to show can be seen."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.codes import FAULT_HIDES_RETRIES, FAULT_WITHOUT_SHARE
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from mesh.istio.model import Path
from mesh.istio.virtual_service import HTTPRoute, Percent


def hidden_retries(seen: Examined) -> Iterator[Finding]:
    """A fault of the caller's side together with retries or a time-out, which act behind it."""
    for resource in seen.of("VirtualService"):
        for number, rule in enumerate(resource.spec.http):
            hidden = _behind(rule)
            if rule.fault is None or rule.fault.below_router or not hidden:
                continue
            message = (
                f"a fault comes before the caller's router (as in Istio), so that the {' and the '.join(hidden)} of this "
                'rule never see it. To test them, place it at the service: "at: upstream"'
            )
            yield finding(FAULT_HIDES_RETRIES, resource, ("spec", "http", number, "fault"), message)


def _behind(rule: HTTPRoute) -> list[str]:
    """What of a rule acts in the router."""
    found = ["retries"] if rule.retries is not None and rule.retries.attempts else []
    delayed = rule.fault is not None and rule.fault.delay is not None
    return [*found, "timeout"] if delayed and rule.timeout else found


def without_share(seen: Examined) -> Iterator[Finding]:
    """A fault that is for 0 % of the requests."""
    for resource in seen.of("VirtualService"):
        for number, rule in enumerate(resource.spec.http):
            if rule.fault is None:
                continue
            path: Path = ("spec", "http", number, "fault")
            delay, abort, reset = rule.fault.delay, rule.fault.abort, rule.fault.reset
            if delay is not None and not delay.percent and _none(delay.percentage):
                yield finding(FAULT_WITHOUT_SHARE, resource, (*path, "delay"), _NOTHING)
            if abort is not None and _none(abort.percentage):
                yield finding(FAULT_WITHOUT_SHARE, resource, (*path, "abort"), _NOTHING)
            if reset is not None and _none(reset.percentage):
                yield finding(FAULT_WITHOUT_SHARE, resource, (*path, "reset"), _NOTHING)


_NOTHING = "without a percentage above 0 no request gets this fault: set percentage.value"


def _none(percentage: Percent | None) -> bool:
    return percentage is None or not percentage.value
