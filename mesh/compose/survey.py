"""What a compose service serves, as far as its file tells: ports, what is spoken on them, whether it can join a mesh.

Its own label decides (`mesh.ports: "8000, 5432/tcp"`); else what its image is known for, published and exposed ports, the
health check, the command and environment, and what other services call it by (`http://api:8000`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh.compose.health import probe_options

HTTP, TCP = "http", "tcp"
LABEL_INJECT, LABEL_PORTS = "mesh.inject", "mesh.ports"
LABEL_SERVICE, LABEL_VERSION = "mesh.service", "mesh.version"
MOST_REPLICAS: Final = 1

# What images are known for: the last part of the image's name, its port, what is spoken there.
KNOWN_IMAGES: Final[Mapping[str, tuple[int, ...]]] = {
    "postgres": (5432,), "postgis": (5432,), "timescaledb": (5432,), "mysql": (3306,), "mariadb": (3306,),
    "redis": (6379,), "valkey": (6379,), "keydb": (6379,), "memcached": (11211,), "mongo": (27017,),
    "rabbitmq": (5672,), "nats": (4222,), "kafka": (9092,), "zookeeper": (2181,), "cassandra": (9042,),
    "etcd": (2379,), "mosquitto": (1883,),
}  # fmt: skip
TCP_PORTS: Final = frozenset(
    {port for ports in KNOWN_IMAGES.values() for port in ports}
    | {21, 22, 25, 53, 110, 143, 389, 443, 465, 587, 636, 993, 1433, 1521, 5671, 8443, 9443, 50051, 61613}
)
HTTP_IMAGES: Final = {"nginx": 80, "httpd": 80, "caddy": 80, "traefik": 80, "elasticsearch": 9200, "minio": 9000}
TCP_SCHEMES: Final = frozenset(
    {
        "postgres",
        "postgresql",
        "mysql",
        "redis",
        "rediss",
        "amqp",
        "amqps",
        "mongodb",
        "nats",
        "kafka",
        "tcp",
        "grpc",
        "https",
    }
)
_PUBLISHED = re.compile(r"(?:.*:)?(?P<first>\d+)(?:-(?P<last>\d+))?(?:/(?P<protocol>tcp|udp))?$")
_CHECK_PORT = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]):(\d{2,5})")
_FLAG_PORT = re.compile(r"(?:--port[= ]|--bind[= ]\S*:|-b \S*:|-p |0\.0\.0\.0:|runserver \S*:)(\d{2,5})\b")


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    protocol: str
    why: str

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Survey:
    """`refusal` says why the service stays as it is; "" when it joins. `notes` are for the reader,
    `probe` the options of the sidecar that has it ask what the health check asks."""

    name: str
    ports: tuple[Port, ...] = ()
    refusal: str = ""
    notes: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()


def survey(services: Mapping[str, Any]) -> dict[str, Survey]:
    """All services of a file: who calls whom tells more than a service alone."""
    return {name: _survey(name, fields, services) for name, fields in services.items()}


def _survey(name: str, fields: Mapping[str, Any], services: Mapping[str, Any]) -> Survey:
    if refusal := _refusal(fields):
        return Survey(name, refusal=refusal)
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        return Survey(
            name, refusal="its name is no DNS label (lower case letters, digits and -): the mesh cannot name it"
        )
    notes = []
    given = labels(fields).get(LABEL_PORTS)
    ports = _labelled(given) if given else _found(name, fields, services)
    if any(
        "/udp" in str(port) or (isinstance(port, dict) and port.get("protocol") == "udp")
        for port in _list(fields, "ports")
    ):
        notes.append("UDP passes by the sidecar")
    if str(fields.get("user", "")).partition(":")[0] == "1337":
        notes.append("it runs as uid 1337, the proxy's: what it sends is not intercepted")
    if not ports:
        notes.append(f'no port found: only its calls are in the mesh (label {LABEL_PORTS}: "8000" names one)')
    if any(port.number == 50051 or "grpc" in port.why for port in ports):
        notes.append("gRPC is passed on as TCP")
    probe = probe_options(fields.get("healthcheck"), [port.number for port in ports])
    return Survey(name, tuple(ports), notes=tuple(notes), probe=probe)


def _refusal(fields: Mapping[str, Any]) -> str:
    mode = str(fields.get("network_mode", ""))
    deploy = fields.get("deploy")
    replicas = (deploy if isinstance(deploy, dict) else {}).get("replicas", fields.get("scale", 1))
    if labels(fields).get(LABEL_INJECT, "").lower() == "false":
        return f"its label {LABEL_INJECT} says so"
    if mode == "host":
        return "network_mode: host: it has the machine's own network, whose rules are not ours to set"
    if mode == "none":
        return "network_mode: none: it has no network"
    if mode.startswith(("service:", "container:")):
        return f"network_mode: {mode}: it is in the network of another, and in the mesh if that is"
    if mode not in ("", "bridge"):
        return f"network_mode: {mode}: not known"
    if isinstance(replicas, int) and replicas > MOST_REPLICAS:
        return f"{replicas} replicas: they would share one network, and the same ports in it"
    if fields.get("external_links"):
        return "external_links: they cannot be had in another container's network"
    if "extends" in fields:
        return "extends: what it is is in another service or file (docker compose config writes one file of all)"
    if fields.get("provider"):
        return "provider: it is no container"
    return ""


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _labelled(text: str) -> list[Port]:
    found = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        number, _, protocol = word.partition("/")
        if number.isdigit() and 0 < int(number) < 65536 and protocol in ("", HTTP, TCP):
            found.append(Port(int(number), protocol or HTTP, "label"))
    return found


def _found(name: str, fields: Mapping[str, Any], services: Mapping[str, Any]) -> list[Port]:
    """The first mention of a port says what it speaks, unless its number or its image is known for something."""
    image = image_name(fields)
    found: dict[int, Port] = {}
    for number, protocol, why in _mentions(name, fields, services, image):
        known = TCP if number in TCP_PORTS or number in KNOWN_IMAGES.get(image, ()) else protocol
        current = found.get(number)
        if current is None:
            found[number] = Port(number, known or HTTP, why)
        elif known == TCP and current.protocol != TCP:
            found[number] = Port(number, TCP, why)
    return [found[number] for number in sorted(found)]


def _mentions(
    name: str, fields: Mapping[str, Any], services: Mapping[str, Any], image: str
) -> Iterator[tuple[int, str, str]]:
    for number in KNOWN_IMAGES.get(image, ()):
        yield number, TCP, f"image {image}"
    if image in HTTP_IMAGES:
        yield HTTP_IMAGES[image], HTTP, f"image {image}"
    yield from ((number, "", "ports") for number in _container_ports(_list(fields, "ports")))
    yield from ((number, "", "expose") for number in _container_ports(_list(fields, "expose")))
    check = fields.get("healthcheck")
    if isinstance(check, dict):
        yield from ((int(port), "", "healthcheck") for port in _CHECK_PORT.findall(_text(check.get("test"))))
    own = environment(fields)
    if own.get("PORT", "").isdigit():
        yield int(own["PORT"]), "", "environment PORT"
    if image not in KNOWN_IMAGES:
        yield from ((int(port), "", "command") for port in _FLAG_PORT.findall(_text(fields.get("command"))))
    yield from _called_as(name, services)


def _called_as(name: str, services: Mapping[str, Any]) -> Iterator[tuple[int, str, str]]:
    """`http://api:8000`, `api:8000`: in the environments and commands of the others."""
    pattern = re.compile(rf"(?:([a-z][a-z0-9+.-]*)://)?(?:[^\s/@]*@)?\b{re.escape(name)}:(\d{{2,5}})\b")
    for other, fields in services.items():
        if other == name:
            continue
        texts = [*environment(fields).values(), _text(fields.get("command"))]
        for scheme, port in (found for text in texts for found in pattern.findall(text)):
            spoken = TCP if scheme.partition("+")[0] in TCP_SCHEMES else ""
            yield int(port), spoken, f"{'grpc, ' if scheme == 'grpc' else ''}called by {other}"


def _container_ports(entries: Iterable[Any]) -> Iterator[int]:
    for entry in entries:
        if isinstance(entry, dict):
            text, protocol = str(entry.get("target", "")), entry.get("protocol", "tcp")
        else:
            text, protocol = re.sub(r"\$\{[^}]*\}", "0", str(entry)), ""
        found = _PUBLISHED.match(text)
        if found is None or "udp" in (protocol, found["protocol"]):
            continue
        yield from range(int(found["first"]), int(found["last"] or found["first"]) + 1)


# ── the fields of a service ───────────────────────────────────────────────────────────────────────────────────────────


def image_name(fields: Mapping[str, Any]) -> str:
    """`postgres` of `docker.io/library/postgres:16-alpine`."""
    return str(fields.get("image", "")).rpartition("/")[2].partition("@")[0].partition(":")[0]


def environment(fields: Mapping[str, Any]) -> dict[str, str]:
    return _pairs(fields.get("environment"))


def labels(fields: Mapping[str, Any]) -> dict[str, str]:
    return _pairs(fields.get("labels"))


def _pairs(value: Any) -> dict[str, str]:
    """A mapping, or a list of `NAME=VALUE`."""
    if isinstance(value, dict):
        return {str(key): "" if each is None else _scalar(each) for key, each in value.items()}
    pairs = (str(each).partition("=") for each in value or ())
    return {key: text for key, _, text in pairs}


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _list(fields: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = fields.get(name)
    return value if isinstance(value, list) else ()


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
