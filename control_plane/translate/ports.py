"""What a service's port speaks, and where a service can be found by address."""

from __future__ import annotations

import ipaddress
from typing import Final

from control_plane.world import Service
from mesh.node import ServicePort

HTTP2: Final = frozenset(("HTTP2", "GRPC", "GRPC-WEB"))
HTTP: Final = HTTP2 | {"HTTP"}
TLS: Final = frozenset(("TLS", "HTTPS"))
UNKNOWN: Final = frozenset(("", "UNSUPPORTED", "UNSPECIFIED"))


def is_http(port: ServicePort) -> bool:
    """HTTP of any version by declaration."""
    return port.protocol.upper() in HTTP


def is_http2(port: ServicePort) -> bool:
    """HTTP/2 by declaration, which gRPC is."""
    return port.protocol.upper() in HTTP2


def is_grpc_web(port: ServicePort) -> bool:
    """Where browsers' gRPC may come beside any other."""
    return port.protocol.upper() == "GRPC-WEB"


def is_tls(port: ServicePort) -> bool:
    """TLS that nobody here looks into: the client's hello names the host."""
    return port.protocol.upper() in TLS


def is_unknown(port: ServicePort) -> bool:
    """A port without a declared protocol: it is detected, connection by connection."""
    return port.protocol.upper() in UNKNOWN


def may_be_http(port: ServicePort) -> bool:
    return is_http(port) or is_unknown(port)


def bare_port(service: Service) -> int:
    """The port that a request without one means when it is asked of a proxy: 80, or else the first that speaks HTTP;
    0 when none does."""
    numbers = [port.number for port in service.ports if may_be_http(port)]
    return 80 if 80 in numbers else next(iter(numbers), 0)


def virtual_addresses(service: Service) -> tuple[str, ...]:
    """The single addresses among a service's virtual ones."""
    return tuple(a for a in service.addresses if "/" not in a and not ipaddress.ip_address(a).is_unspecified)


def virtual_networks(service: Service) -> tuple[str, ...]:
    """The blocks of addresses among a service's virtual ones, each in its one spelling."""
    return tuple(str(ipaddress.ip_network(a, strict=False)) for a in service.addresses if "/" in a)
