"""A workload's readiness probe: how it is said on a command line and in a node's metadata; pure.

The fields, and their meaning and defaults, are those of Istio's `WorkloadGroup`
(https://istio.io/latest/docs/reference/config/networking/workload-group/#ReadinessProbe). A proxy's metadata carries it
under `PROXY_CONFIG.readinessProbe`, as Istio's does: the proxy beside the app asks, and tells the control plane.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from mesh.errors import MeshError

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOST: Final = re.compile(r"[A-Za-z0-9.:_-]*")
MOST_SECONDS: Final = 3600.0
MAX_PORT: Final = 65535


class ProbeError(MeshError, ValueError):
    """What was given is no probe."""


@dataclass(frozen=True, slots=True)
class HttpGet:
    """Passes with an answer of 200 to 399, by HTTPS whoever answers. `host` is who is asked, empty for where the app is."""

    port: int
    path: str = "/"
    host: str = ""
    tls: bool = False
    headers: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'} {self.host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """Passes when the connection is accepted."""

    port: int
    host: str = ""

    def __str__(self) -> str:
        return f"tcp {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Grpc:
    """Passes when `grpc.health.v1.Health/Check` says SERVING."""

    port: int
    service: str = ""

    def __str__(self) -> str:
        return f"grpc :{self.port}{'/' + self.service if self.service else ''}"


@dataclass(frozen=True, slots=True)
class Exec:
    """Passes when the command ends with 0. It runs where the proxy runs."""

    command: tuple[str, ...]

    def __str__(self) -> str:
        return f"exec {shlex.join(self.command)}"


Check = HttpGet | TcpSocket | Grpc | Exec


@dataclass(frozen=True, slots=True)
class Probe:
    """When and how often is asked; `successes` and `failures` in a row change what is said about the workload."""

    check: Check
    delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    successes: int = 1
    failures: int = 3

    def __str__(self) -> str:
        return f"{self.check} every {self.period:g} s"


# ── on a command line ─────────────────────────────────────────────────────────────────────────────────────────────────


def http(text: str, port: int) -> HttpGet:
    """`/path`, or `8081/path` for another port than the workload's own."""
    number, slash, rest = text.removeprefix(":").partition("/")
    if not slash:
        raise ProbeError(f"{text!r}: expected /PATH or PORT/PATH")
    return HttpGet(_port(number or port, text), f"/{rest}")


def tcp(text: str, port: int) -> TcpSocket:
    """`5432`; nothing for the workload's own port."""
    return TcpSocket(_port(text.removeprefix(":") or port, text))


def grpc(text: str, port: int) -> Grpc:
    """`50051`, `50051/package.Service`, `/package.Service`; nothing for the whole server on the workload's own port."""
    number, _, service = text.removeprefix(":").partition("/")
    return Grpc(_port(number or port, text), service)


def command(text: str, _port_of_workload: int = 0) -> Exec:
    """A command as a shell splits it; no shell runs it."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ProbeError(f"{text!r}: {error}") from error
    if not words:
        raise ProbeError("the command is empty")
    return Exec(words)


KINDS: Final[Mapping[str, Callable[[str, int], Check]]] = {"http": http, "tcp": tcp, "grpc": grpc, "exec": command}


def _port(value: Any, text: Any) -> int:
    if not str(value).isdigit() or not 0 < int(value) <= MAX_PORT:
        raise ProbeError(f"{text!r}: expected a port, 1 to {MAX_PORT}; the workload has none of its own")
    return int(value)


# ── in metadata ───────────────────────────────────────────────────────────────────────────────────────────────────────

_SECONDS: Final = {"delay": "initialDelaySeconds", "timeout": "timeoutSeconds", "period": "periodSeconds"}
_COUNTS: Final = {"successes": "successThreshold", "failures": "failureThreshold"}
_DEFAULTS: Final = {each.name: each.default for each in fields(Probe)}


def encode(probe: Probe) -> dict[str, Any]:
    """As Istio's API has it, in JSON."""
    times = {name: getattr(probe, own) for own, name in {**_SECONDS, **_COUNTS}.items()}
    match probe.check:
        case HttpGet(port, path, host, tls, headers):
            more: dict[str, Any] = {"scheme": "HTTPS"} if tls else {}
            if headers:
                more["httpHeaders"] = [{"name": name, "value": value} for name, value in headers]
            return {"httpGet": {"port": port, "path": path, **_host(host), **more}, **times}
        case TcpSocket(port, host):
            return {"tcpSocket": {"port": port, **_host(host)}, **times}
        case Grpc(port, service):
            return {"grpc": {"port": port, "service": service}, **times}
        case Exec(words):
            return {"exec": {"command": list(words)}, **times}


def _host(host: str) -> dict[str, str]:
    return {"host": host} if host else {}


def decode(data: Mapping[str, Any]) -> Probe:
    """Raises ProbeError for what Istio's API does not have, or what this mesh does not do of it."""
    kinds = {name: read for name, read in _READERS.items() if name in data}
    unknown = set(data) - set(_READERS) - set(_SECONDS.values()) - set(_COUNTS.values())
    if unknown:
        raise ProbeError(f"readinessProbe: unknown field {min(unknown)}")
    if len(kinds) != 1:
        raise ProbeError(f"readinessProbe: expected one of {', '.join(_READERS)}")
    ((name, read),) = kinds.items()
    method = data[name]
    if not isinstance(method, Mapping):
        raise ProbeError(f"readinessProbe.{name}: expected an object")
    seconds = {own: _seconds(data, own, field) for own, field in _SECONDS.items()}
    counts = {own: int(_seconds(data, own, field)) for own, field in _COUNTS.items()}
    return Probe(read(method), **seconds, **counts)  # type: ignore[arg-type]


def _seconds(data: Mapping[str, Any], own: str, name: str) -> float:
    value = data.get(name) or _DEFAULTS[own]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MOST_SECONDS:
        raise ProbeError(f"readinessProbe.{name}: {value!r}: expected a number, 0 to {MOST_SECONDS:g}")
    return float(value)


def _http_get(method: Mapping[str, Any]) -> HttpGet:
    scheme = str(method.get("scheme") or "HTTP").upper()
    if scheme not in ("HTTP", "HTTPS"):
        raise ProbeError(f"readinessProbe.httpGet.scheme: {scheme!r}: expected HTTP or HTTPS")
    path = str(method.get("path", "/"))
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ProbeError(f"readinessProbe.httpGet.path: {path!r} is no path")
    return HttpGet(
        _number(method, "httpGet"),
        path if path.startswith("/") else f"/{path}",
        _named_host(method, "httpGet"),
        scheme == "HTTPS",
        tuple(_headers(method.get("httpHeaders") or ())),
    )


def _headers(rows: Any) -> Iterator[tuple[str, str]]:
    for index, row in enumerate(rows):
        name, value = (str(row.get(key, "")) for key in ("name", "value")) if isinstance(row, Mapping) else ("", "")
        if not _HEADER_NAME.fullmatch(name) or not value.isprintable() or not value.isascii():
            raise ProbeError(f"readinessProbe.httpGet.httpHeaders[{index}]: {name!r}: {value!r} is no header")
        yield name, value


def _named_host(method: Mapping[str, Any], name: str) -> str:
    host = str(method.get("host") or "")
    if not _HOST.fullmatch(host):
        raise ProbeError(f"readinessProbe.{name}.host: {host!r} is no host")
    return host


def _exec(method: Mapping[str, Any]) -> Exec:
    words = method.get("command")
    if not isinstance(words, list | tuple) or not words:
        raise ProbeError("readinessProbe.exec.command: expected a list of words")
    return Exec(tuple(map(str, words)))


def _number(method: Mapping[str, Any], name: str) -> int:
    value = method.get("port")
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(number, int) or not 0 < number <= MAX_PORT:
        raise ProbeError(f"readinessProbe.{name}.port: {value!r}: expected 1 to {MAX_PORT}")
    return number


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Check]]] = {
    "httpGet": _http_get,
    "tcpSocket": lambda method: TcpSocket(_number(method, "tcpSocket"), _named_host(method, "tcpSocket")),
    "grpc": lambda method: Grpc(_number(method, "grpc"), str(method.get("service", ""))),
    "exec": _exec,
}
