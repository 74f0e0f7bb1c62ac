"""WorkloadGroup: what workloads of one kind have in common. A proxy that names its group registers as a member of it: a
WorkloadEntry that comes with its stream and goes with it.

https://istio.io/latest/docs/reference/config/networking/workload-group/
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from mesh.istio.model import Message
from mesh.istio.scalars import HeaderText, Integer, Labels, PortNumber, Rows, Word
from mesh.istio.workload_entry import AnyWorkload

Seconds = Annotated[Integer, Field(ge=0, le=3600)]
Threshold = Annotated[Integer, Field(ge=0, le=1000)]


class GroupMetadata(Message):
    """Of the entries that are made of the group."""

    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class GroupTemplate(AnyWorkload):
    """A WorkloadEntry without an address: that is the proxy's own."""


class ProbeScheme(StrEnum):
    HTTP = "HTTP"
    HTTPS = "HTTPS"


class HTTPHeader(Message):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")]
    value: HeaderText = ""


# An address, or a name.
ProbedHost = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]*$")]


class HTTPHealthCheckConfig(Message):
    """`host` is who is asked, where the app is if it is left out."""

    port: PortNumber
    path: Annotated[str, Field(pattern=r"^[!-~]*$")] = "/"
    host: ProbedHost = ""
    scheme: Word[ProbeScheme] = ProbeScheme.HTTP
    http_headers: Rows[HTTPHeader] = ()


class TCPHealthCheckConfig(Message):
    port: PortNumber
    host: ProbedHost = ""


class ExecHealthCheckConfig(Message):
    command: Annotated[Rows[str], Field(min_length=1)]


class GrpcHealthCheckConfig(Message):
    port: PortNumber
    service: str = ""


class ReadinessProbe(Message):
    """What the sidecar asks the app; 0 stands for the default, as in Istio."""

    exactly_one = (("httpGet", "tcpSocket", "exec", "grpc"),)

    initial_delay_seconds: Seconds = 0
    timeout_seconds: Seconds = 0
    period_seconds: Seconds = 0
    success_threshold: Threshold = 0
    failure_threshold: Threshold = 0
    http_get: HTTPHealthCheckConfig | None = None
    tcp_socket: TCPHealthCheckConfig | None = None
    exec: ExecHealthCheckConfig | None = None
    grpc: GrpcHealthCheckConfig | None = None


class WorkloadGroup(Message):
    """For the workloads of its namespace that name it when they connect."""

    metadata: GroupMetadata = Field(default_factory=lambda: GroupMetadata())
    template: GroupTemplate
    probe: ReadinessProbe | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Of every member; those of the metadata come before those of the template."""
        return {**self.template.labels, **self.metadata.labels}


def summary(spec: Mapping[str, Any]) -> str:
    """The labels of its members."""
    labels = {**spec.get("template", {}).get("labels", {}), **spec.get("metadata", {}).get("labels", {})}
    return ", ".join(f"{name}={value}" for name, value in labels.items())
