"""What the options of `mesh run` and `mesh bootstrap` say about a workload, as a `Node`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from mesh.cli.addresses import Reservation, choose, parse_host_port
from mesh.cli.errors import USAGE, CliError
from mesh.cli.start_settings import Resources
from mesh.naming import CONSOLE_PORT, XDS_PORT
from mesh.node import INTERCEPT_NONE, INTERCEPT_REDIRECT, ROUTER, SIDECAR, Locality, Node, ServicePort
from mesh.probe import KINDS, Probe, ProbeError

DEFAULT_XDS = f"127.0.0.1:{XDS_PORT}"
GATEWAY_NAME = "istio-ingressgateway"
GATEWAY_LABELS = {"app": GATEWAY_NAME, "istio": "ingressgateway"}


_DASHES = str.maketrans(".:", "--")


class Protocol(StrEnum):
    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"


class Interception(StrEnum):
    NONE = "none"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Probing:
    """The --probe options as they were given; at most one of the first four."""

    http: str | None = None
    tcp: str | None = None
    grpc: str | None = None
    exec: str | None = None
    delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    successes: int = 1
    failures: int = 3


@dataclass(frozen=True, slots=True)
class Workload:
    """The options as they were given."""

    service: str = ""
    version: str = ""
    ports: tuple[str, ...] = ()
    address: str = ""
    app_address: str = "127.0.0.1"
    labels: tuple[str, ...] = ()
    namespace: str = "default"
    protocol: Protocol = Protocol.HTTP
    xds: str = DEFAULT_XDS
    name: str = ""
    locality: str = ""
    interception: Interception = Interception.NONE
    gateway: bool = False
    probe: Probing = Probing()
    app_metrics: str = ""
    group: str = ""
    server: str = ""
    self_discovery: bool = False

    @property
    def plane(self) -> str:
        """The control plane's HTTP API: where we are told, or beside its xDS."""
        host = parse_host_port(self.xds, XDS_PORT, "--xds")[0]
        return self.server or f"http://{f'[{host}]' if ':' in host else host}:{CONSOLE_PORT}"


@dataclass(frozen=True, slots=True)
class Described:
    node: Node
    xds: tuple[str, int]
    reservation: Reservation


def describe(workload: Workload) -> Described:
    """The node of a workload, with its address settled; CliError for options that do not fit together."""
    if workload.gateway and (workload.service or workload.ports):
        raise CliError("--gateway has no --service and no --port: its ports are those of Gateway resources", code=USAGE)
    if not workload.gateway and not (workload.service or workload.name or workload.group):
        raise CliError(
            "which workload is it?",
            "--service NAME, --group NAME, or --name NAME for one that serves nothing",
            code=USAGE,
        )
    if workload.ports and not (workload.service or workload.group):
        raise CliError("--port is a service's: --service NAME is missing", code=USAGE)
    xds = parse_host_port(workload.xds, XDS_PORT, "--xds")
    ports = tuple(parse_port(text, workload.protocol) for text in workload.ports)
    labels = parse_labels(workload.labels)
    reservation = choose(workload.address, xds[0])
    node = _node(workload, reservation.address, ports, labels)
    return Described(_member(node, workload) if workload.group else node, xds, reservation)


def _member(node: Node, workload: Workload) -> Node:
    """The node with what its group says where the options say nothing."""
    template = Resources(workload.plane).group(workload.namespace, workload.group)
    return replace(
        node,
        labels={**template.labels, **node.labels},
        locality=node.locality if node.locality != Locality() else template.locality,
        probe=node.probe or template.probe,
        group=workload.group,
    )


def _node(workload: Workload, address: str, ports: tuple[ServicePort, ...], labels: dict[str, str]) -> Node:
    own = dict(GATEWAY_LABELS) if workload.gateway else {}
    if workload.service:
        own["app"] = workload.service
    if workload.version:
        own["version"] = workload.version
    name = workload.name or (
        GATEWAY_NAME if workload.gateway else "-".join(filter(None, (workload.service, workload.version)))
    )
    entry = workload.name or (f"{workload.group}-{address.translate(_DASHES)}" if workload.group else name)
    redirect = workload.interception is Interception.REDIRECT
    probe = parse_probe(workload.probe, ports[0].app_port if ports else 0)
    return Node(
        kind=ROUTER if workload.gateway else SIDECAR,
        address=address,
        name=entry,
        namespace=workload.namespace,
        service=workload.service,
        labels=own | labels,
        ports=ports,
        workload=workload.group or name,
        locality=parse_locality(workload.locality),
        interception=INTERCEPT_REDIRECT if redirect else INTERCEPT_NONE,
        app_address=workload.app_address,
        probe=probe,
        app_metrics=parse_app_metrics(workload.app_metrics, ports[0].app_port if ports else 0),
        self_discovery=workload.self_discovery,
    )


def parse_port(text: str, protocol: Protocol) -> ServicePort:
    """`9080`; `80:8080` where the app listens on another port than the service; `5432/tcp` where another protocol than
    the others' is spoken."""
    numbers, slash, spoken = text.partition("/")
    number, _, target = numbers.partition(":")
    for part in (number, target or number):
        if not part.isdigit() or not 0 < int(part) < 65536:
            raise CliError(f"--port {text}: expected PORT or PORT:APP_PORT, each 1 to 65535", code=USAGE)
    if slash and spoken not in tuple(Protocol):
        raise CliError(f"--port {text}: expected /{' or /'.join(Protocol)} at the end", code=USAGE)
    name = spoken or protocol.value
    return ServicePort(int(number), name, name.upper(), int(target or number))


def parse_probe(given: Probing, port: int) -> Probe | None:
    """`port` is the app's, for a probe that names none."""
    asked = {name: text for name in KINDS if (text := getattr(given, name)) is not None}
    if not asked:
        return None
    if len(asked) > 1:
        raise CliError(f"one probe only: {' and '.join(f'--probe-{name}' for name in asked)} are given", code=USAGE)
    ((name, text),) = asked.items()
    try:
        check = KINDS[name](text, port)
    except ProbeError as error:
        raise CliError(f"--probe-{name} {error}", code=USAGE) from error
    return Probe(check, given.delay, given.timeout, given.period, given.successes, given.failures)


def parse_app_metrics(text: str, port: int) -> str:
    """`:9100/metrics` of `/metrics`, `9100/metrics`, `:9100` or a URL of this machine; "" for none."""
    if not text:
        return ""
    place = text.removeprefix("http://").removeprefix("localhost").removeprefix("127.0.0.1").removeprefix(":")
    number, slash, path = place.partition("/")
    number = number or str(port or "")
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise CliError(f"--app-metrics {text}: expected [PORT]/PATH or http://127.0.0.1:PORT/PATH", code=USAGE)
    return f":{number}{slash + path if slash else '/metrics'}"


def parse_labels(texts: Iterable[str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise CliError(f"--label {text}: expected KEY=VALUE", code=USAGE)
        labels[key] = value
    return labels


def parse_locality(text: str) -> Locality:
    parts = text.split("/") if text else []
    if len(parts) > 3:
        raise CliError(f"--locality {text}: expected REGION, REGION/ZONE or REGION/ZONE/SUBZONE", code=USAGE)
    return Locality(*parts)
