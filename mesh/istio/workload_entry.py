"""WorkloadEntry: one workload that is not a Kubernetes pod, as an endpoint of the services that select it."""

from __future__ import annotations

from pydantic import Field

from mesh.istio.model import Message
from mesh.istio.scalars import Count, Labels, PortNumber


class WorkloadEntry(Message):
    """`ports` maps the name of a service's port to the number that the workload listens on; `locality` is
    `region/zone/subzone`; weight 0 means 1. `service_account` says who the workload is: it takes effect with mutual
    TLS only."""

    address: str
    ports: dict[str, PortNumber] = Field(default_factory=dict)
    labels: Labels = Field(default_factory=dict)
    locality: str = ""
    weight: Count = 0
    service_account: str = ""
