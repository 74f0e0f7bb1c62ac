"""The WorkloadEntries that members of WorkloadGroups are: nobody has written them, and they end with their members.

As Istio's own: https://istio.io/latest/docs/reference/config/networking/workload-group/. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from control_plane.registry.workload import Workload, accepts
from mesh.node import Locality

GROUP_ANNOTATION: Final = "istio.io/autoRegistrationGroup"
CONNECTED_ANNOTATION: Final = "istio.io/connectedAt"


def entry_of(workload: Workload) -> dict[str, Any]:
    """The WorkloadEntry of a member, with what its probe says for its status."""
    node, accepted = workload.node, accepts(workload.node)
    spec: dict[str, Any] = {
        "address": node.address,
        "ports": {port.name: accepted[port.number] for port in node.ports},
        "labels": dict(node.labels),
    }
    if node.locality != Locality():
        parts = (node.locality.region, node.locality.zone, node.locality.sub_zone)
        spec["locality"] = "/".join(part for part in parts if part)
    if node.weight:
        spec["weight"] = node.weight
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": f"{node.group}-{node.address.replace(':', '-')}",
            "namespace": node.namespace,
            "labels": dict(node.labels),
            "annotations": {GROUP_ANNOTATION: node.group, CONNECTED_ANNOTATION: _time(workload.joined)},
        },
        "spec": spec,
        "status": {"conditions": [_healthy(workload)]},
    }


def _healthy(workload: Workload) -> dict[str, str]:
    """Istio's condition: what the probe found, or that nobody is there any more."""
    condition = {
        "type": "Healthy",
        "status": "True" if workload.healthy and workload.connected else "False",
        "lastTransitionTime": _time(workload.since),
    }
    if workload.problem:
        condition["message"] = workload.problem
    if not workload.connected:
        condition["message"] = "its stream is gone"
    return condition


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
