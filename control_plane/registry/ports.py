"""The ports of a service, and where a workload accepts each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from control_plane.registry.workload import accepts, answers_itself
from mesh.kubernetes.service import ServicePort as DeclaredPort
from mesh.kubernetes.service import ServiceSpec
from mesh.node import Node, ServicePort

DETECT: Final = ""  # the protocol is to be found out

_PROTOCOLS: Final = {
    "grpc": "GRPC",
    "grpc-web": "GRPC-WEB",
    "http": "HTTP",
    "http2": "HTTP2",
    "https": "HTTPS",
    "kubernetes.io/h2c": "HTTP2",
    "kubernetes.io/ws": "HTTP",
    "kubernetes.io/wss": "HTTPS",
    "mongo": "TCP",
    "mysql": "TCP",
    "redis": "TCP",
    "tcp": "TCP",
    "tls": "TLS",
}
# Here the server speaks first: there is nothing to be found out by waiting for the client. (Istio's list)
_SERVER_FIRST: Final = frozenset((25, 53, 3306, 27017))


def protocol_of(port: DeclaredPort) -> str:
    """Istio's protocol selection: `appProtocol`, else the name up to its first dash, else to be detected."""
    if port.app_protocol:
        return _PROTOCOLS.get(port.app_protocol.lower(), DETECT)
    return named_protocol(port.name, port.port)


def named_protocol(name: str, number: int) -> str:
    """What the name of a port says of what is spoken there."""
    name = name.lower()
    word = "grpc-web" if name == "grpc-web" or name.startswith("grpc-web-") else name.partition("-")[0]
    return _PROTOCOLS.get(word) or ("TCP" if number in _SERVER_FIRST else DETECT)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port of a service as its workloads have to be asked for it: `target` is the number or the name of their port,
    None for the port that they registered under `number`; `name` is the service's own for it."""

    number: int
    target: int | str | None = None
    name: str = ""


def service_ports(spec: ServiceSpec) -> tuple[tuple[ServicePort, ...], tuple[Wanted, ...]]:
    """The ports of a Kubernetes Service."""
    ports, wanted = [], []
    for port in spec.ports:
        target = port.port if port.target_port is None else port.target_port
        number = target if isinstance(target, int) else 0
        ports.append(ServicePort(port.port, port.name, protocol_of(port), number))
        wanted.append(Wanted(port.port, target))
    return tuple(ports), tuple(wanted)


def reached(node: Node, wanted: Iterable[Wanted]) -> dict[int, int]:
    """Service port → where on its address the workload accepts it; without the ports that it does not serve."""
    accepted = accepts(node)
    own = _OwnPorts(node.ports)
    found: dict[int, int] = {}
    for port in wanted:
        served = own.find(port)
        if served is not None:
            found[port.number] = accepted[served.number]
        elif isinstance(port.target, int) and answers_itself(node):
            found[port.number] = port.target
    return found


class _OwnPorts:
    """The ports that a workload registered, to be found by what a service wants of them; of two the first."""

    def __init__(self, ports: Sequence[ServicePort]) -> None:
        self._by_number: dict[int, ServicePort] = {}
        self._by_target: dict[int | str, ServicePort] = {}
        self._by_both: dict[tuple[int | str, int], ServicePort] = {}
        for port in ports:
            self._by_number.setdefault(port.number, port)
            for target in (port.app_port, port.name):
                self._by_target.setdefault(target, port)
                self._by_both.setdefault((target, port.number), port)

    def find(self, wanted: Wanted) -> ServicePort | None:
        if wanted.target is None:
            return self._by_number.get(wanted.number)
        both = self._by_both.get((wanted.target, wanted.number))
        found = both or self._by_target.get(wanted.target) or self._by_number.get(wanted.number)
        return found or (self._by_target.get(wanted.name) if wanted.name else None)
