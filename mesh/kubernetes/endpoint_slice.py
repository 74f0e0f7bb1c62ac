"""Kubernetes' EndpointSlice, discovery v1, and the older Endpoints: who serves a Service that has no selector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator

from mesh.istio.model import Found, shown
from mesh.istio.scalars import PortNumber, Rows, Word, is_ip, wrong
from mesh.kubernetes.foreign import Foreign

SERVICE: Final = "kubernetes.io/service-name"  # the label that names the Service


class AddressType(StrEnum):
    IPV4 = "IPv4"
    IPV6 = "IPv6"


def _address(value: str) -> str:
    if not is_ip(value):
        raise wrong(f"must be an IP address, not {shown(value)}")
    return value


class Conditions(Foreign):
    """Absent is ready, as for Kubernetes."""

    ready: bool = True


class Endpoint(Foreign):
    addresses: Rows[Annotated[str, AfterValidator(_address)]]
    conditions: Conditions | None = None
    zone: str = ""

    @property
    def ready(self) -> bool:
        return self.conditions is None or self.conditions.ready

    def rules(self) -> Iterator[Found]:
        if not self.addresses:
            yield Found(("addresses",), "must have at least one address")


class EndpointPort(Foreign):
    port: PortNumber
    name: str = ""


class EndpointSliceSpec(Foreign):
    address_type: Word[AddressType]
    endpoints: Rows[Endpoint] = ()
    ports: Rows[EndpointPort] = ()


class EndpointAddress(Foreign):
    ip: Annotated[str, AfterValidator(_address)]


class EndpointSubset(Foreign):
    """All addresses have all ports."""

    addresses: Rows[EndpointAddress] = ()
    not_ready_addresses: Rows[EndpointAddress] = ()
    ports: Rows[EndpointPort] = ()


class Endpoints(Foreign):
    """Of the Service of the same name."""

    subsets: Rows[EndpointSubset] = ()


def summary(document: Mapping[str, Any]) -> str:
    """The addresses."""
    found = [str(a) for endpoint in document.get("endpoints", []) for a in endpoint.get("addresses", [])]
    found += [str(a.get("ip")) for subset in document.get("subsets", []) for a in subset.get("addresses", [])]
    return ", ".join(found)
