"""Who runs where in the demo. Pure: what the machine allows is an argument."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from mesh.bootstrap import Ports
from mesh.cli.workload import GATEWAY_LABELS, GATEWAY_NAME
from mesh.naming import CONSOLE_PORT, CONTROL_METRICS_PORT, XDS_PORT
from mesh.node import ROUTER, SIDECAR, Node, ServicePort

SHARED_ADDRESS = "127.0.0.1"
DEFAULT_NETWORK = "127.0.1"
SERVICE_PORT = 9080
GRPC_PORT = 9081  # of ratings, where it is called by gRPC
SHARED_APP_OFFSET = 80  # of the app's port from its proxy's admin port, where all have one address

# service, version, the last part of its address
BOOKINFO = (
    ("productpage", "v1", 11),
    ("details", "v1", 12),
    ("ratings", "v1", 13),
    ("reviews", "v1", 21),
    ("reviews", "v2", 22),
    ("reviews", "v3", 23),
)

Socket = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A proxy of the demo, and its app's command (empty for the gateway). `app` is where that answers HTTP."""

    node: Node
    ports: Ports
    app: Socket = ("", 0)
    command: tuple[str, ...] = ()

    def sockets(self) -> Iterator[tuple[str, Socket]]:
        """What has to be free, with whose it is."""
        ports, node = self.ports, self.node
        numbers = [ports.admin, ports.health, ports.prometheus]
        if self.command:
            numbers += [ports.outbound, *(ports.inbound + 100 * index for index in range(len(node.ports)))]
        yield from ((f"the sidecar of {self.name}", (node.address, number)) for number in numbers)
        yield from ((self.name, (node.app_address, port.app_port)) for port in node.ports)

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def admin(self) -> Socket:
        return (self.node.address, self.ports.admin)


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything listens."""

    xds: Socket
    http: Socket
    metrics: Socket
    gateway: Member
    gateway_port: int
    workloads: tuple[Member, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        return (self.gateway, *self.workloads)

    @property
    def url(self) -> str:
        return f"http://{self.gateway.node.address}:{self.gateway_port}/productpage"

    @property
    def server(self) -> str:
        return f"http://{self.http[0]}:{self.http[1]}"

    def sockets(self) -> Iterator[tuple[str, Socket]]:
        """Everything that has to be free, with whose it is."""
        yield "the ingress gateway", (self.gateway.node.address, self.gateway_port)
        yield from (("the control plane", socket) for socket in (self.xds, self.http, self.metrics))
        for member in self.members:
            yield from member.sockets()


def make_plan(gateway_port: int, network: str = "", distinct_ports: bool = False, grpc: bool = False) -> Plan:
    """Everybody on an address of their own, with Istio's ports; with `distinct_ports` all on one, with ports of their
    own. The control plane and the gateway are on 127.0.0.1, or on the first address of a `network`. With `grpc` reviews
    call ratings by that."""
    center = f"{network}.1" if network else SHARED_ADDRESS
    gateway = Node(
        kind=ROUTER, address=center, name=GATEWAY_NAME, labels=GATEWAY_LABELS, workload=GATEWAY_NAME, app_address=center
    )
    return Plan(
        xds=(center, XDS_PORT),
        http=(center, CONSOLE_PORT),
        metrics=(center, CONTROL_METRICS_PORT),
        gateway=Member(gateway, Ports()),
        gateway_port=gateway_port,
        workloads=tuple(
            _workload(service, version, center, Ports.shared(index), shared=True, grpc=grpc)
            if distinct_ports
            else _workload(service, version, f"{network or DEFAULT_NETWORK}.{host}", Ports(), shared=False, grpc=grpc)
            for index, (service, version, host) in enumerate(BOOKINFO, start=1)
        ),
    )


def _workload(service: str, version: str, address: str, ports: Ports, *, shared: bool, grpc: bool) -> Member:
    app_port = ports.admin + SHARED_APP_OFFSET if shared else SERVICE_PORT
    name = f"{service}-{version}"
    served = [ServicePort(SERVICE_PORT, target=app_port)]
    command = [sys.executable, "-m", f"examples.bookinfo.{service}", "--address", address, "--port", str(app_port)]
    if service == "reviews":
        command += ["--version", version]
    if grpc and service == "reviews":
        command += ["--ratings", f"grpc://ratings:{GRPC_PORT}"]
    if grpc and service == "ratings":
        served.append(ServicePort(GRPC_PORT, "grpc", "GRPC", target=app_port + 1))
        command += ["--grpc-port", str(app_port + 1)]
    node = Node(
        kind=SIDECAR,
        address=address,
        name=name,
        service=service,
        labels={"app": service, "version": version},
        ports=tuple(served),
        workload=name,
        app_address=address,
    )
    return Member(node, ports, (address, app_port), tuple(command))
