"""WorkloadEntry: one workload that is not a Kubernetes pod, as an endpoint of the services that select it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mesh.istio.model import Found, Message, shown
from mesh.istio.refused import NOT_YET
from mesh.istio.scalars import Count, Labels, PortNumber, host_problem, is_dns_label, is_ip, wrong


def _address(value: str) -> str:
    if value.startswith("unix://"):
        raise wrong(f"Unix domain sockets are {NOT_YET}")
    if not is_ip(value) and host_problem(value, wildcard=False):
        raise wrong(f"must be an IP address or a DNS name, not {shown(value)}")
    return value


def _locality(value: str) -> str:
    parts = value.split("/")
    if value and (len(parts) > 3 or not all(parts)):
        raise wrong(f"must be region, region/zone or region/zone/subzone, not {shown(value)}")
    return value


Locality = Annotated[str, AfterValidator(_locality)]


class AnyWorkload(Message):
    """What a workload has, whoever it is. `ports` maps the name of a service's port to the number that the workload listens
    on; weight 0 means 1. `service_account` says who the workload is: it matters with mutual TLS only."""

    ports: dict[str, PortNumber] = Field(default_factory=dict)
    labels: Labels = Field(default_factory=dict)
    locality: Locality = ""
    weight: Count = 0
    service_account: str = ""

    def rules(self) -> Iterator[Found]:
        for name in self.ports:
            if not is_dns_label(name):
                yield Found(("ports", name), f"{shown(name)} is not the name of a port (letters, digits and -)")


class WorkloadEntry(AnyWorkload):
    address: Annotated[str, AfterValidator(_address)]


def summary(spec: Mapping[str, Any]) -> str:
    """The address."""
    return str(spec.get("address", ""))
