"""Sidecar: what the proxies of some workloads are told of, and where they may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from mesh.istio.destination import Destination
from mesh.istio.destination_rule import ConnectionPoolSettings
from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.refused import NOT_YET
from mesh.istio.scalars import (
    Labels,
    OptionalDnsLabel,
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
from mesh.naming import ADMIN_PORT, HEALTH_PORT, INBOUND_PORT, MERGED_PORT, OUTBOUND_PORT, PROMETHEUS_PORT

ANY = "*"
UNIX = "unix://"
MAX_PATH = 107  # of a Unix domain socket
OWN, NONE = ".", "~"
_ALL_ADDRESSES = ("0.0.0.0", "::")
_PROXYS_OWN = (ADMIN_PORT, OUTBOUND_PORT, INBOUND_PORT, MERGED_PORT, HEALTH_PORT, PROMETHEUS_PORT)


def _egress_host(value: str) -> str:
    namespace, slash, host = value.partition("/")
    if not slash:
        raise wrong(f'must be NAMESPACE/HOST, such as "./*" or "istio-system/*", not {shown(value)}')
    if namespace.removeprefix(NONE) not in ("", ANY, OWN) and not is_dns_label(namespace.removeprefix(NONE)):
        raise wrong(f'the namespace must be a name, ".", "*" or "~", or "~" before one, not {shown(namespace)}')
    if host != ANY and (problem := host_problem(host, wildcard=True)):
        raise wrong(f"the host {problem}")
    if host != ANY and "*" in host and not host.startswith("*."):
        raise wrong(f'a "*" must stand for whole labels ("*.example.com"): {shown(host)}')
    return value


class SidecarWorkloadSelector(Message):
    labels: Labels = Field(default_factory=dict)


class CaptureMode(StrEnum):
    """How connections get to a listener: as everything does in the proxy's environment, by iptables, or by being made to
    the listener's own address and port, which it opens."""

    DEFAULT = "DEFAULT"
    IPTABLES = "IPTABLES"
    NONE = "NONE"


def _bind(value: str) -> str:
    if value.startswith("unix:"):
        raise wrong(f"Unix domain sockets are {NOT_YET}")
    if value and not is_ip(value):
        raise wrong(f"must be an IP address, not {shown(value)}")
    return value


Bind = Annotated[str, AfterValidator(_bind)]


class SidecarPort(Message):
    number: PortNumber
    name: OptionalDnsLabel = ""
    protocol: Annotated[Word[Protocol], BeforeValidator(upper)]

    def rules(self) -> Iterator[Found]:
        if self.number in _PROXYS_OWN:
            yield Found(("number",), f"{self.number} is a port of the proxy's own")


class IstioEgressListener(Message):
    """The hosts that are imported, as `namespace/host`; `~/*` imports none, `~namespace/host` takes out what others import.
    With a port they are those of that port, and of no other listener."""

    port: SidecarPort | None = None
    bind: Bind = ""
    capture_mode: Word[CaptureMode] = CaptureMode.DEFAULT
    hosts: Rows[Annotated[str, AfterValidator(_egress_host)]]

    def rules(self) -> Iterator[Found]:
        if not self.hosts:
            yield Found(("hosts",), 'must name at least one host ("~/*" for none)')
        if self.port is None and self.bind:
            yield Found(("bind",), "is the address of a listener with a port: add one")
        if self.port is None and self.capture_mode is CaptureMode.NONE:
            yield Found(("captureMode",), "NONE is for a listener with a port, which connections are made to: add one")


def _endpoint(value: str) -> str:
    if value.startswith(UNIX):
        path = value.removeprefix(UNIX)
        if path[:1] not in ("/", "@") or not 1 < len(path.encode()) <= MAX_PATH or not path.isprintable():
            raise wrong(f"must be unix:///PATH or unix://@NAME, of {MAX_PATH} bytes at the most, not {shown(value)}")
        return value
    host, _, port = value.rpartition(":")
    numbered = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if value and not (numbered and _is_local(host.removeprefix("[").removesuffix("]"))):
        raise wrong(
            f"must be 127.0.0.1:PORT (or another address of this machine's own, or 0.0.0.0), not {shown(value)}"
        )
    return value


def _is_local(address: str) -> bool:
    return is_ip(address) and (ip_address(address).is_loopback or address in _ALL_ADDRESSES)


class IstioIngressListener(Message):
    """What the workload is asked on a port of its own goes to `default_endpoint`, or without one to the app there."""

    port: SidecarPort
    bind: Bind = ""
    capture_mode: Word[CaptureMode] = CaptureMode.DEFAULT
    default_endpoint: Annotated[str, AfterValidator(_endpoint)] = ""
    connection_pool: ConnectionPoolSettings | None = None

    @property
    def place(self) -> tuple[str, int] | None:
        """Where the app listens; without an address where it is one of all; the path of a Unix domain socket has port 0."""
        if self.default_endpoint.startswith(UNIX):
            return self.default_endpoint.removeprefix(UNIX), 0
        host, _, port = self.default_endpoint.rpartition(":")
        address = host.removeprefix("[").removesuffix("]")
        return ("" if address in _ALL_ADDRESSES else address, int(port)) if host else None


class OutboundMode(StrEnum):
    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


class OutboundTrafficPolicy(Message):
    mode: Word[OutboundMode] = OutboundMode.REGISTRY_ONLY


class SidecarOutboundTrafficPolicy(OutboundTrafficPolicy):
    """Traffic to hosts that no service has goes to `egress_proxy` instead of where it was going."""

    egress_proxy: Destination | None = None

    def rules(self) -> Iterator[Found]:
        if self.egress_proxy is None:
            return
        if self.mode is not OutboundMode.ALLOW_ANY:
            yield Found(("egressProxy",), "is where traffic goes that mode: ALLOW_ANY lets pass")
        if self.egress_proxy.port is None:
            yield Found(("egressProxy", "port"), "is required")


class Sidecar(Message):
    """For the workloads of its namespace that `workload_selector` picks, or without one for all that no other picks; in
    the mesh's root namespace for those of every namespace that has none of its own. Without `egress` all is imported."""

    workload_selector: SidecarWorkloadSelector | None = None
    egress: Rows[IstioEgressListener] = ()
    ingress: Rows[IstioIngressListener] = ()
    outbound_traffic_policy: SidecarOutboundTrafficPolicy | None = None
    inbound_connection_pool: ConnectionPoolSettings | None = None

    def rules(self) -> Iterator[Found]:
        if not (self.egress or self.ingress or self.outbound_traffic_policy or self.inbound_connection_pool):
            yield Found((), "says nothing: set egress, ingress, outboundTrafficPolicy or inboundConnectionPool")
        for index, number in repeated(each.port.number for each in self.ingress):
            yield Found(("ingress", index, "port", "number"), f"there is an ingress of port {number} already")
        numbers = {index: each.port.number for index, each in enumerate(self.egress) if each.port is not None}
        for at, number in repeated(numbers.values()):
            yield Found(("egress", list(numbers)[at], "port", "number"), f"there is an egress of port {number} already")
        for index, each in enumerate(self.egress[:-1]):
            if each.port is None:
                yield Found(("egress", index), "one without a port is for all other ports: it comes last, and once")

    @property
    def selector(self) -> Mapping[str, str]:
        return self.workload_selector.labels if self.workload_selector is not None else {}


def summary(spec: Mapping[str, Any]) -> str:
    """The hosts that are imported."""
    return ", ".join(str(host) for each in spec.get("egress", []) for host in each.get("hosts", []))
