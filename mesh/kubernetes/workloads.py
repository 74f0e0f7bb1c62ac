"""Deployment and its like: what they call their pods. Read for labels, ports and identities; nothing is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from mesh.istio.scalars import Count, Labels, PortNumber, Rows
from mesh.kubernetes.foreign import Foreign


class ContainerPort(Foreign):
    container_port: PortNumber
    name: str = ""
    protocol: str = "TCP"


class Container(Foreign):
    name: str = ""
    image: str = ""
    ports: Rows[ContainerPort] = ()


class PodSpec(Foreign):
    containers: Rows[Container] = ()
    service_account_name: str = ""

    def port(self, name: str) -> int:
        """The number of a container's port, 0 when none has the name."""
        ports = (port for container in self.containers for port in container.ports)
        return next((port.container_port for port in ports if port.name == name), 0)


class PodMetadata(Foreign):
    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


_NO_METADATA = PodMetadata()


class PodTemplate(Foreign):
    metadata: PodMetadata = Field(default_factory=lambda: _NO_METADATA)
    spec: PodSpec


class LabelSelector(Foreign):
    match_labels: Labels = Field(default_factory=dict)


class WorkloadSpec(Foreign):
    """The `spec` of Deployment, StatefulSet, DaemonSet and ReplicaSet."""

    selector: LabelSelector | None = None
    replicas: Count = 1
    template: PodTemplate


def summary(spec: Mapping[str, Any]) -> str:
    """The images."""
    pod = spec.get("template", {}).get("spec", spec)
    return ", ".join(str(container.get("image", "")) for container in pod.get("containers", []))
