"""ServiceEntry: a service that the registry does not know, inside or outside of the mesh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import (
    DnsLabel,
    ExportTo,
    Labels,
    PortNumber,
    Rows,
    Subnet,
    WildcardHost,
    Word,
    host_problem,
    is_ip,
    upper,
)
from mesh.istio.workload_entry import WorkloadEntry


class Location(StrEnum):
    MESH_EXTERNAL = "MESH_EXTERNAL"
    MESH_INTERNAL = "MESH_INTERNAL"


class Resolution(StrEnum):
    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"
    DYNAMIC_DNS = "DYNAMIC_DNS"


class Protocol(StrEnum):
    """UNSPECIFIED is a port whose protocol is to be detected."""

    UNSPECIFIED = ""
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "MONGO"
    MYSQL = "MYSQL"
    REDIS = "REDIS"

    @property
    def spoken(self) -> str:
        """As proxies know it: databases' protocols are TCP to them."""
        return "TCP" if self in (Protocol.MONGO, Protocol.MYSQL, Protocol.REDIS) else self.value

    @property
    def tells_hosts_apart(self) -> bool:
        """Whether a connection says which host it is for (authority or SNI)."""
        return self.spoken not in ("", "TCP")


# What has a host in every request; TLS by its SNI is not implemented yet.
_NAMING: Final = (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.HTTPS, Protocol.TLS)


class ServiceEntryPort(Message):
    number: PortNumber
    name: DnsLabel
    protocol: Annotated[Word[Protocol], BeforeValidator(upper)] = Protocol.UNSPECIFIED
    target_port: PortNumber | None = None


class WorkloadSelector(Message):
    labels: Labels

    def rules(self) -> Iterator[Found]:
        if not self.labels:
            yield Found(("labels",), "must have at least one label: without any, every workload would be selected")


class ServiceEntry(Message):
    at_most_one = (("endpoints", "workloadSelector"),)

    hosts: Rows[WildcardHost]
    addresses: Rows[Subnet] = ()
    ports: Rows[ServiceEntryPort] = ()
    location: Word[Location] = Location.MESH_EXTERNAL
    resolution: Word[Resolution] = Resolution.NONE
    endpoints: Rows[WorkloadEntry] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: ExportTo = ()
    subject_alt_names: Rows[str] = ()

    def rules(self) -> Iterator[Found]:
        yield from self._host_rules()
        yield from self._port_rules()
        yield from self._endpoint_rules()
        if self.resolution == Resolution.DYNAMIC_DNS and self.addresses:
            yield Found(("addresses",), "with resolution DYNAMIC_DNS it is the host that says where a request goes")
        elif self.resolution not in (Resolution.NONE, Resolution.STATIC):
            for index, address in enumerate(self.addresses):
                if "/" in address:
                    message = f"a CIDR block needs resolution NONE or STATIC, not {self.resolution}"
                    yield Found(("addresses", index), message)

    def _host_rules(self) -> Iterator[Found]:
        if not self.hosts:
            yield Found(("hosts",), "must name at least one host")
        by_name = self.resolution in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN) and not self.endpoints
        for index, host in enumerate(self.hosts):
            if host == "*":
                yield Found(("hosts", index), 'must not be "*"')
            elif self.resolution == Resolution.DYNAMIC_DNS and not host.startswith("*."):
                message = f'must be a wildcard ("*.example.com") with resolution DYNAMIC_DNS, not {shown(host)}'
                yield Found(("hosts", index), message)
            elif by_name and host_problem(host, wildcard=False):
                message = f"{shown(host)} cannot be looked up: with resolution {self.resolution}, give endpoints"
                yield Found(("hosts", index), message)

    def _port_rules(self) -> Iterator[Found]:
        for index, name in repeated(port.name for port in self.ports):
            yield Found(("ports", index, "name"), f'there is a port "{name}" already')
        for index, number in repeated(port.number for port in self.ports):
            yield Found(("ports", index, "number"), f"there is a port {number} already")
        for index, port in enumerate(self.ports):
            if self.resolution == Resolution.DYNAMIC_DNS and port.protocol not in _NAMING:
                message = f"resolution DYNAMIC_DNS needs a protocol that names the host: {', '.join(_NAMING)}"
                yield Found(("ports", index, "protocol"), message)
            elif len(self.hosts) > 1 and self.resolution != Resolution.NONE and not port.protocol.tells_hosts_apart:
                message = "several hosts need a protocol that tells them apart: HTTP, HTTP2, GRPC, HTTPS or TLS"
                yield Found(("ports", index, "protocol"), message)

    def _endpoint_rules(self) -> Iterator[Found]:
        if self.resolution == Resolution.NONE and (self.endpoints or self.workload_selector):
            field = "endpoints" if self.endpoints else "workloadSelector"
            yield Found((field,), "takes effect only with another resolution than NONE")
        if self.resolution == Resolution.DYNAMIC_DNS and (self.endpoints or self.workload_selector):
            field = "endpoints" if self.endpoints else "workloadSelector"
            yield Found((field,), "with resolution DYNAMIC_DNS it is the host that a request names that is looked up")
        if self.resolution == Resolution.DNS_ROUND_ROBIN and len(self.endpoints) > 1:
            yield Found(("endpoints", 1), "resolution DNS_ROUND_ROBIN takes one endpoint at the most")
        names = {port.name for port in self.ports}
        for index, endpoint in enumerate(self.endpoints):
            if self.resolution == Resolution.STATIC and not is_ip(endpoint.address):
                message = f"must be an IP address with resolution STATIC, not {shown(endpoint.address)}"
                yield Found(("endpoints", index, "address"), message)
            for name in endpoint.ports:
                if name not in names:
                    yield Found(("endpoints", index, "ports", name), "is no port of this service entry")


def summary(spec: Mapping[str, Any]) -> str:
    """The hosts, and how their endpoints are found."""
    return f"{', '.join(map(str, spec.get('hosts', [])))} {spec.get('resolution', 'NONE')}"
