"""Gateway: the ports and hosts that a gateway proxy serves. Plain HTTP only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import DnsLabel, Labels, PortNumber, Rows, Word, host_problem, is_dns_label, is_ip, upper, wrong


class ServerProtocol(StrEnum):
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-WEB"


class Port(Message):
    number: PortNumber
    name: DnsLabel
    protocol: Annotated[Word[ServerProtocol], BeforeValidator(upper)]


def _server_host(value: str) -> str:
    namespace, slash, host = value.rpartition("/")
    if slash and namespace not in ("*", ".") and not is_dns_label(namespace):
        raise wrong(f'the namespace before the "/" must be a namespace, "*" or ".", not {shown(namespace)}')
    if host == "*" or is_ip(host):
        return value
    if problem := host_problem(host, wildcard=True):
        raise wrong(problem)
    if "." not in host:
        raise wrong(f"must be a full DNS name, not the short name {shown(host)}")
    if "*" in host and not host.startswith("*."):
        raise wrong(f'a "*" must stand for whole labels ("*.example.com"): {shown(host)}')
    return value


class Server(Message):
    """`hosts` are DNS names, `*.suffix` or `*`, optionally behind the `namespace/` that their VirtualServices are in
    (`.` is the gateway's own, `*` any)."""

    port: Port
    hosts: Rows[Annotated[str, AfterValidator(_server_host)]]

    def rules(self) -> Iterator[Found]:
        if not self.hosts:
            yield Found(("hosts",), "must name at least one host")


class Gateway(Message):
    """`selector` picks the gateway proxies by their labels; an empty one picks them all."""

    selector: Labels = Field(default_factory=dict)
    servers: Rows[Server]

    def rules(self) -> Iterator[Found]:
        if not self.servers:
            yield Found(("servers",), "must have at least one server")
        for index, name in repeated(server.port.name for server in self.servers):
            yield Found(("servers", index, "port", "name"), f'there is a port "{name}" already')


def summary(spec: Mapping[str, Any]) -> str:
    """The ports."""
    ports = [server.get("port", {}) for server in spec.get("servers", [])]
    return ", ".join(f"{port.get('number')}/{port.get('protocol')}" for port in ports)
