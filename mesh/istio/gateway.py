"""Gateway: the ports and hosts that a gateway proxy serves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import DnsLabel, Labels, PortNumber, Rows, Word, host_problem, is_dns_label, is_ip, upper, wrong


class ServerProtocol(StrEnum):
    """MONGO, MYSQL and REDIS are TCP to a gateway."""

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
    def is_tls(self) -> bool:
        return self in (ServerProtocol.HTTPS, ServerProtocol.TLS)

    @property
    def is_http(self) -> bool:
        """Whether requests can be told apart."""
        return self.value in ("HTTP", "HTTP2", "GRPC", "GRPC-WEB")


class Port(Message):
    number: PortNumber
    name: DnsLabel
    protocol: Annotated[Word[ServerProtocol], BeforeValidator(upper)]


class ServerTLSMode(StrEnum):
    PASSTHROUGH = "PASSTHROUGH"


class ServerTLSSettings(Message):
    """`https_redirect` answers plain HTTP with a redirect. TLS itself is passed through, and routed by the name in its
    hello: to terminate it takes certificates, which arrive with zero trust."""

    https_redirect: bool = False
    mode: Word[ServerTLSMode] | None = None


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


def _bind(value: str) -> str:
    if not is_ip(value):
        raise wrong(f"must be an IP address, not {shown(value)}")
    return value


class Server(Message):
    """`hosts` are DNS names, `*.suffix` or `*`, optionally behind the `namespace/` that their VirtualServices are in
    (`.` is the gateway's own, `*` any)."""

    port: Port
    hosts: Rows[Annotated[str, AfterValidator(_server_host)]]
    bind: Annotated[str, AfterValidator(_bind)] = ""
    tls: ServerTLSSettings | None = None
    name: str = ""

    def rules(self) -> Iterator[Found]:
        protocol, tls = self.port.protocol, self.tls
        if protocol.is_tls and tls is None:
            yield Found(("tls",), f"is required with protocol {protocol}")
        if protocol.is_tls and tls is not None and tls.https_redirect:
            yield Found(("tls", "httpsRedirect"), "is for protocol HTTP: TLS needs no redirect to itself")
        if protocol.is_http and tls is not None and not tls.https_redirect:
            yield Found(("tls",), "takes effect with protocol HTTPS or TLS; HTTP takes httpsRedirect only")
        if not (protocol.is_http or protocol.is_tls) and tls is not None:
            yield Found(("tls",), f"takes effect with protocol HTTPS or TLS, not {protocol}")
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
