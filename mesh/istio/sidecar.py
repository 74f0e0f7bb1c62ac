"""Sidecar: what the proxies of some workloads are told of, and where they may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from mesh.istio.destination_rule import ConnectionPoolSettings
from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.refused import NOT_YET
from mesh.istio.scalars import (
    DnsLabel,
    Labels,
    PortNumber,
    Rows,
    Word,
    host_problem,
    is_dns_label,
    is_ip,
    upper,
    wrong,
)
from mesh.istio.service_entry import Protocol

ANY = "*"
OWN, NONE = ".", "~"
_ALL_ADDRESSES = ("0.0.0.0", "::")


def _egress_host(value: str) -> str:
    namespace, slash, host = value.partition("/")
    if not slash:
        raise wrong(f'must be NAMESPACE/HOST, such as "./*" or "istio-system/*", not {shown(value)}')
    if namespace not in (ANY, OWN, NONE) and not is_dns_label(namespace):
        raise wrong(f'the namespace must be a name, ".", "*" or "~", not {shown(namespace)}')
    if host != ANY and (problem := host_problem(host, wildcard=True)):
        raise wrong(f"the host {problem}")
    return value


class SidecarWorkloadSelector(Message):
    labels: Labels = Field(default_factory=dict)


class IstioEgressListener(Message):
    """The hosts that are imported, as `namespace/host`; `~/*` imports none."""

    hosts: Rows[Annotated[str, AfterValidator(_egress_host)]]

    def rules(self) -> Iterator[Found]:
        if not self.hosts:
            yield Found(("hosts",), 'must name at least one host ("~/*" for none)')


def _endpoint(value: str) -> str:
    if value.startswith("unix://"):
        raise wrong(f"Unix domain sockets are {NOT_YET}")
    host, _, port = value.rpartition(":")
    numbered = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if value and not (numbered and is_ip(host.removeprefix("[").removesuffix("]"))):
        raise wrong(f"must be 127.0.0.1:PORT (or another address of the app, or 0.0.0.0), not {shown(value)}")
    return value


class SidecarPort(Message):
    number: PortNumber
    name: DnsLabel
    protocol: Annotated[Word[Protocol], BeforeValidator(upper)]


class IstioIngressListener(Message):
    """What the workload is asked on a port of its own goes to `default_endpoint`, or without one to the app there."""

    port: SidecarPort
    default_endpoint: Annotated[str, AfterValidator(_endpoint)] = ""
    connection_pool: ConnectionPoolSettings | None = None

    @property
    def place(self) -> tuple[str, int] | None:
        """Where the app listens; without an address where it is one of all."""
        host, _, port = self.default_endpoint.rpartition(":")
        address = host.removeprefix("[").removesuffix("]")
        return ("" if address in _ALL_ADDRESSES else address, int(port)) if host else None


class OutboundMode(StrEnum):
    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


class OutboundTrafficPolicy(Message):
    mode: Word[OutboundMode] = OutboundMode.REGISTRY_ONLY


class Sidecar(Message):
    """For the workloads of its namespace that `workload_selector` picks, or without one for all that no other picks; in
    the mesh's root namespace for those of every namespace that has none of its own. Without `egress` all is imported."""

    workload_selector: SidecarWorkloadSelector | None = None
    egress: Rows[IstioEgressListener] = ()
    ingress: Rows[IstioIngressListener] = ()
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    inbound_connection_pool: ConnectionPoolSettings | None = None

    def rules(self) -> Iterator[Found]:
        for index, number in repeated(each.port.number for each in self.ingress):
            yield Found(("ingress", index, "port", "number"), f"there is an ingress of port {number} already")

    @property
    def selector(self) -> Mapping[str, str]:
        return self.workload_selector.labels if self.workload_selector is not None else {}


def summary(spec: Mapping[str, Any]) -> str:
    """The hosts that are imported."""
    return ", ".join(str(host) for each in spec.get("egress", []) for host in each.get("hosts", []))
