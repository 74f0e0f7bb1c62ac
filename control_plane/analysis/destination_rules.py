"""DestinationRules: whether there is anything that they are for."""

from __future__ import annotations

from collections.abc import Iterator

from control_plane.analysis.codes import (
    POLICY_NOT_USED,
    SCHEMA_WARNING,
    SHORT_NAME_WITH_DOTS,
    SUBSET_SELECTS_NOTHING,
    UNKNOWN_RULE_HOST,
)
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.translate.endpoints import selected
from control_plane.translate.hosts import is_wildcard, qualified
from mesh.istio.resource import Key
from mesh.naming import DOMAIN


def unknown_hosts(seen: Examined) -> Iterator[Finding]:
    """A host that no service has."""
    for resource in seen.of("DestinationRule"):
        host = qualified(resource.spec.host, resource.key.namespace)
        found = any(seen.covered(host)) if is_wildcard(host) else seen.service(host, resource.key.namespace)
        if found:
            continue
        full = f"{resource.spec.host}.svc.{DOMAIN}"
        if seen.index.service(full.lower()) is not None:
            message = f'"{resource.spec.host}" is taken as it is, and no service has this name: write "{full}"'
            yield finding(SHORT_NAME_WITH_DOTS, resource, ("spec", "host"), message)
            continue
        message = (
            f"The host {resource.spec.host} defined in the DestinationRule does not match any services in the mesh."
        )
        yield finding(UNKNOWN_RULE_HOST, resource, ("spec", "host"), message)


def empty_subsets(seen: Examined) -> Iterator[Finding]:
    """Subsets that no endpoint of the service is in, though it has some."""
    for resource in seen.of("DestinationRule"):
        host = qualified(resource.spec.host, resource.key.namespace)
        service = None if is_wildcard(host) else seen.index.service(host)
        instances = seen.instances(service) if service is not None else ()
        for position, subset in enumerate(resource.spec.subsets):
            if instances and not selected(instances, subset.labels):
                message = (
                    f"The Subset {subset.name} defined in the DestinationRule does not select any pods. "
                    "Which may lead to 503 UH (NoHealthyUpstream)."
                )
                yield finding(SUBSET_SELECTS_NOTHING, resource, ("spec", "subsets", position), message)


def subsets_without_labels(seen: Examined) -> Iterator[Finding]:
    """A subset that is everybody: no split by it tells versions apart."""
    for resource in seen.of("DestinationRule"):
        for position, subset in enumerate(resource.spec.subsets):
            if not subset.labels:
                message = (
                    f"Schema validation warning: subset {subset.name} has no labels: it is every endpoint of the host"
                )
                yield finding(SCHEMA_WARNING, resource, ("spec", "subsets", position), message)


def unused_policies(seen: Examined) -> Iterator[Finding]:
    """A traffic policy for a host of which an older rule has one: subsets of both are used, one policy is."""
    first: dict[tuple[str, str], Key] = {}
    asked = {resource.key for resource in seen.of("DestinationRule")}
    for resource in seen.all("DestinationRule"):
        spec, namespace = resource.spec, resource.key.namespace
        if spec.traffic_policy is None or spec.workload_selector is not None:
            continue
        holds = first.setdefault((namespace, qualified(spec.host, namespace)), resource.key)
        if holds != resource.key and resource.key in asked:
            message = (
                f"DestinationRules {holds.name} and {resource.key.name} both have a trafficPolicy for {spec.host}: that of "
                f"{holds.name}, the older, holds. Subsets of both are used"
            )
            yield finding(POLICY_NOT_USED, resource, ("spec", "trafficPolicy"), message, (holds,))
