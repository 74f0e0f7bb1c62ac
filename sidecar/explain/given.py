"""What is asked: a call, and the configuration that a proxy has been given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from sidecar.config.clusters import compile_cluster
from sidecar.config.document import message_of
from sidecar.config.endpoints import compile_assignment
from sidecar.config.listeners import compile_listener
from sidecar.config.model import Address, Assignment, Cluster, Listener, RouteConfig
from sidecar.config.routes import compile_route_config
from sidecar.http.exchange import Exchange
from sidecar.http.head import HOP_HEADERS, INDEXED_HEADERS

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
ANYONE: Final = Address("127.0.0.1", 0)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a client writes it. `destination` is where a captured connection was going, None: to an address of the
    host that nobody here knows."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    client: Address = ANYONE
    destination: Address | None = None

    @property
    def scheme(self) -> str:
        return self.url.partition("://")[0] if "://" in self.url else "http"

    @property
    def authority(self) -> str:
        """The host, with its port as far as it is written; a Host header in the place of it."""
        said = [value for name, value in self.headers if name.lower() == "host"]
        return said[0] if said else self._target[0]

    @property
    def path(self) -> str:
        return self._target[1]

    @property
    def _target(self) -> tuple[str, str]:
        rest = self.url.rpartition("://")[2]
        ends = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        host, path = rest[:ends], rest[ends:]
        return host, path if path.startswith("/") else "/" + path

    @property
    def host(self) -> str:
        return self._split[0]

    @property
    def port(self) -> int:
        return self._split[1]

    @property
    def _split(self) -> tuple[str, int]:
        name, colon, port = self._target[0].rpartition(":")
        if colon and port.isdigit():
            return name.strip("[]"), int(port)
        return self._target[0].strip("[]"), DEFAULT_PORTS.get(self.scheme, 80)


@dataclass(frozen=True, slots=True)
class ClientEnd:
    """Where a call comes from and arrives, as an exchange sees it."""

    remote: Address
    local: Address
    own: Address
    kept: dict[Any, Any] = field(default_factory=dict)


def exchange_of(call: Call, local: Address, *, absolute: bool) -> Exchange:
    """The call as the connection manager gets it; `absolute`: the client asks it as a proxy, and names the whole URL."""
    headers = [(name.lower().encode(), value.encode()) for name, value in call.headers]
    method = call.method.upper().encode()
    target = f"{call.scheme}://{call.authority}{call.path}" if absolute else call.path
    if method == b"CONNECT":
        target = f"{call.host}:{call.port}"
    end: Any = ClientEnd(call.client, local, local)
    made = Exchange(end, method, target.encode(), [each for each in headers if each[0] not in HOP_HEADERS], 0.0)
    made.hop_headers = {name: value for name, value in headers if name in HOP_HEADERS}
    made.hop_headers.setdefault(b"host", call.authority.encode())
    made.indexed_headers = {name: value for name, value in headers if name in INDEXED_HEADERS}
    return made


class Compiled(Generic[T]):
    """Resources by name, compiled when they are asked for. ConfigError when the proxy would refuse one."""

    def __init__(self, compiler: Callable[[Any], T], messages: Mapping[str, Any]) -> None:
        self._compiler = compiler
        self._messages = messages
        self._compiled: dict[str, T] = {}

    def get(self, name: str) -> T | None:
        found = self._compiled.get(name)
        if found is None and (message := self._messages.get(name)) is not None:
            found = self._compiled[name] = self._compiler(message)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._messages)

    def all(self) -> list[T]:
        return [found for name in self._messages if (found := self.get(name)) is not None]


@dataclass(frozen=True, slots=True)
class HostState:
    """What a running proxy says of a host: Envoy's health flags (`failed_outlier_check` …), and why."""

    flags: tuple[str, ...] = ()
    why: str = ""


class Given:
    """A proxy's configuration. `states` is what it says of its hosts, by cluster and address, where it was asked;
    `on_paper`: nobody has connected, so that endpoints which are not declared are unknown, and not missing."""

    def __init__(
        self,
        messages: Mapping[str, Mapping[str, Any]],
        states: Mapping[tuple[str, str], HostState] | None = None,
        on_paper: bool = False,
    ) -> None:
        self._listeners: Compiled[Listener] = Compiled(compile_listener, messages[LISTENER])
        self._routes: Compiled[RouteConfig] = Compiled(compile_route_config, messages[ROUTE])
        self._clusters: Compiled[Cluster] = Compiled(compile_cluster, messages[CLUSTER])
        self._endpoints: Compiled[Assignment] = Compiled(compile_assignment, messages[ENDPOINT])
        self.states = states
        self.on_paper = on_paper

    @property
    def listeners(self) -> list[Listener]:
        return self._listeners.all()

    def routes(self, name: str) -> RouteConfig | None:
        return self._routes.get(name)

    @property
    def all_routes(self) -> list[RouteConfig]:
        return self._routes.all()

    @property
    def cluster_names(self) -> tuple[str, ...]:
        return self._clusters.names

    def cluster(self, name: str) -> Cluster | None:
        return self._clusters.get(name)

    def assignment(self, cluster: Cluster) -> Assignment | None:
        return cluster.assignment or self._endpoints.get(cluster.eds_name or cluster.name)


_TYPES: Final = {
    LISTENER: listener_pb2.Listener,
    ROUTE: route_pb2.RouteConfiguration,
    CLUSTER: cluster_pb2.Cluster,
    ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
}


def messages_of(items: Mapping[str, Iterable[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Messages by type URL and name, of what is given as JSON data by type URL. ConfigError for what is no message."""
    found: dict[str, dict[str, Any]] = {}
    for type_url, kind in _TYPES.items():
        plain = ({key: value for key, value in item.items() if key != "@type"} for item in items.get(type_url, ()))
        found[type_url] = {
            _name(message): message for item in plain if (message := message_of(item, kind())) is not None
        }
    return found


def _name(message: Any) -> str:
    return str(getattr(message, "name", "") or message.cluster_name)
