"""This mesh's own policies for a host: whether there is one, and whether another policy is before them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from control_plane.analysis.codes import INEFFECTIVE_POLICY, POLICY_NOT_USED, REFERENCED_RESOURCE_NOT_FOUND
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.hosts import qualified
from mesh.istio.resource import Key

_KINDS: Final = ("CircuitBreaker", "RateLimit")


def unknown_hosts(seen: Examined) -> Iterator[Finding]:
    """A host that no service has."""
    for kind in _KINDS:
        for resource in seen.of(kind):
            if seen.service(resource.spec.host, resource.key.namespace) is None:
                message = f'Referenced host not found: "{resource.spec.host}"'
                yield finding(REFERENCED_RESOURCE_NOT_FOUND, resource, ("spec", "host"), message)


def second_breakers(seen: Examined) -> Iterator[Finding]:
    """A CircuitBreaker for a host that has one."""
    first: dict[str, Key] = {}
    asked = {resource.key for resource in seen.of("CircuitBreaker")}
    for resource in seen.all("CircuitBreaker"):
        holds = first.setdefault(qualified(resource.spec.host, resource.key.namespace), resource.key)
        if holds != resource.key and resource.key in asked:
            message = (
                f"{resource.spec.host} has a CircuitBreaker, {holds.namespace}/{holds.name}, the older: that one holds"
            )
            yield finding(POLICY_NOT_USED, resource, ("spec", "host"), message, (holds,))


def without_effect(seen: Examined) -> Iterator[Finding]:
    """Settings that set nothing."""
    for resource in seen.of("Telemetry"):
        spec = resource.spec
        changes = [
            row
            for metrics in spec.metrics
            for row in metrics.overrides
            if row.disabled is not None or row.tag_overrides
        ]
        if not (spec.access_logging or spec.tracing or changes):
            reason = "it says nothing of logs and traces, and changes no metric"
            yield finding(INEFFECTIVE_POLICY, resource, ("spec",), f"The policy has no impact: {reason}.")
    for resource in seen.of("ProxyConfig"):
        if resource.spec.concurrency is None and not resource.spec.environment_variables:
            yield finding(INEFFECTIVE_POLICY, resource, ("spec",), "The policy has no impact: it sets nothing.")
