"""Outlier detection: whether it can ever take a host out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from control_plane.analysis.codes import NEVER_EJECTS
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from control_plane.registry.selection import Labels
from control_plane.translate.endpoints import selected
from control_plane.translate.hosts import is_wildcard, qualified
from control_plane.world import Service
from mesh.istio.destination_rule import DestinationRule, OutlierDetection, TrafficPolicy
from mesh.istio.model import Path

DEFAULT_PERCENT: Final = 10  # Envoy's
_WITH_REPLICAS: Final = ("Deployment", "StatefulSet")


def never(seen: Examined) -> Iterator[Finding]:
    """So few hosts that one of them is more than maxEjectionPercent of all."""
    for resource in seen.of("DestinationRule"):
        host = qualified(resource.spec.host, resource.key.namespace)
        service = None if is_wildcard(host) else seen.index.service(host)
        if service is None:
            continue
        for path, detection, labels in _detections(resource.spec):
            count = _hosts(seen, service, labels)
            percent = detection.max_ejection_percent or DEFAULT_PERCENT
            if not count or percent * count >= 100:
                continue
            needed = math.ceil(100 / count)
            which = f" with {' '.join(f'{name}={value}' for name, value in labels.items())}" if labels else ""
            message = (
                f"{resource.spec.host} has {count} endpoint{'s' if count > 1 else ''}{which}, and one of them is "
                f"{100 / count:.0f} % of all: more than maxEjectionPercent {percent}, so that none is ever ejected. "
                f"Set maxEjectionPercent to {needed} or more"
            )
            yield finding(NEVER_EJECTS, resource, (*path, "outlierDetection"), message)


def _detections(spec: DestinationRule) -> Iterator[tuple[Path, OutlierDetection, Labels]]:
    yield from _of(spec.traffic_policy, ("spec", "trafficPolicy"), {})
    for position, subset in enumerate(spec.subsets):
        yield from _of(subset.traffic_policy, ("spec", "subsets", position, "trafficPolicy"), subset.labels)


def _of(policy: TrafficPolicy | None, path: Path, labels: Labels) -> Iterator[tuple[Path, OutlierDetection, Labels]]:
    if policy is None:
        return
    if policy.outlier_detection is not None:
        yield path, policy.outlier_detection, labels
    for position, settings in enumerate(policy.port_level_settings):
        if settings.outlier_detection is not None:
            yield (*path, "portLevelSettings", position), settings.outlier_detection, labels


def _hosts(seen: Examined, service: Service, labels: Labels) -> int:
    """How many endpoints there are; where none is known, how many the Deployments in the files will make."""
    instances = seen.instances(service)
    if instances:
        return len(selected(instances, labels))
    if not service.selector:
        return 0
    made = seen.templates.matching(service.namespace, {**service.selector, **labels})
    return sum(each.spec.replicas for each in made if each.key.kind in _WITH_REPLICAS)
