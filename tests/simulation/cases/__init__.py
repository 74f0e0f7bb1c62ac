"""Cases: what is configured, one call, and what becomes of it. Each has a host of its own, so that all of them are one
configuration, evaluated on paper (`test_cases.py`) and called through our sidecar and a real Envoy that have it from our
control plane (`tests/integration/cases`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Final

HOST: Final = "$HOST"
VERSIONS: Final = ("v1", "v2", "v3")
EDGE: Final = "edge"  # the Gateway that cases with via="gateway" are bound to
PORT: Final = 80
EDGE_PORT: Final = 8080
TLS_PORT: Final = 8443
BESIDE: Final = "beside"  # the service of cases with via="beside", where one proxy is looked at
BASE: Final = ""
OURS: Final = "mesh.asyncmesh.io/v1alpha1"
EDGES: Final = ("127.0.9.8", "127.0.9.9")
PAPER: Final = "paper"  # nobody is called: documents whose effect is not on calls
REFUSED: Final = 0  # no status: the connection is refused, or ends without an answer

_META: Final = "apiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}}}\n"
Places = Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Case:
    """`rules` are the http rules of the VirtualService for the case's host, one a line; `policy` is the trafficPolicy of
    its DestinationRule, which has the subsets v1 to v3; `spec` is put into the VirtualService besides, `more` are further
    documents. A `bare` case has no service of its own: `more` says it all. In all of them, in the path and in headers
    `$HOST` stands for the host, `$NAME` for a name, `$ENDS` for the endpoints (`$RAW` for those of connections), `$A1` and
    `$P1` for where v1 is, `$E1` and `$E2` for where the gateways are.

    The call is a request of a client of the `sidecar` or the `gateway`, or one to the service `beside` the proxy; a
    connection through the sidecar by `connect`, or through the gateway (`port`) by the name in its TLS hello (`sni`).
    `to` are the versions of which one answers, none when it is the proxy; `sees` is what the service gets ("path",
    "method" or a header; None: it has none), `gets` are headers of the answer, `logs` is in a proxy's log. `world` is what holds for the whole mesh
    meanwhile; the cases of a world share it."""

    name: str
    rules: str = ""
    policy: str = ""
    spec: str = ""
    more: str = ""
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    authority: str = HOST
    to: str = "v1"
    status: int = 200
    sees: Mapping[str, str | None] = field(default_factory=dict)
    gets: Mapping[str, str | None] = field(default_factory=dict)
    via: str = "sidecar"
    times: int = 1
    world: str = BASE
    bare: bool = False
    port: int = 0
    logs: str = ""

    @property
    def versions(self) -> frozenset[str]:
        return frozenset(self.to.split())

    def on(self, host: str) -> Case:
        """The case with its host."""
        short = host.partition(".")[0]

        def put(text: str) -> str:
            return text.replace(HOST, host).replace("$NAME", short)

        texts: dict[str, Any] = {name: put(getattr(self, name)) for name in _TEXTS}
        for name in ("headers", "sees", "gets"):
            texts[name] = {k: put(v) if v is not None else None for k, v in getattr(self, name).items()}
        return replace(self, **texts)


_TEXTS: Final = ("rules", "policy", "spec", "more", "path", "authority")


def to(subset: str) -> str:
    """The route of a rule: everything to one version."""
    return f"route: [{{destination: {{host: {HOST}, subset: {subset}}}}}]"


def matching(match: str, hit: str = "v2") -> str:
    """Rules: what matches goes to v2, everything else to v1."""
    return f"{{match: [{match}], {to(hit)}}}\n{{{to('v1')}}}"


def document(kind: str, spec: str, name: str = "$NAME", group: str = "networking.istio.io/v1") -> str:
    """A document of a kind; its spec in one line."""
    return f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n"


@cache
def hosts() -> dict[str, Case]:
    """All cases by their hosts."""
    from tests.simulation.cases import (
        actions,
        connections,
        experiments,
        gateways,
        matches,
        patches,
        policies,
        services,
        worlds,
    )

    modules = (matches, actions, policies, gateways, services, connections, patches, worlds, experiments)
    cases: list[Case] = [case for module in modules for case in module.CASES]
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), {name for name in names if names.count(name) > 1}
    return {f"c{number:03}.example.com": case for number, case in enumerate(cases)}


def documents(host: str, case: Case, endpoints: Places, edges: tuple[str, str] = EDGES) -> str:
    """The configuration of one case, whose versions are at these places, and the two gateways."""
    made = case.on(host)
    name = host.partition(".")[0]
    parts = [] if case.bare else _service(name, host, made.policy)
    if made.rules or made.spec:
        rules = "".join(f"  - {line.strip()}\n" for line in made.rules.strip().splitlines())
        gateways = f"  gateways: [{EDGE}]\n" if made.via == "gateway" and "gateways:" not in made.spec else ""
        own = f"  {made.spec}\n" if made.spec else ""
        http = f"  http:\n{rules}" if rules else ""
        named = "" if "hosts:" in made.spec else f"  hosts: [{host}]\n"
        parts.append(_META.format("VirtualService", name) + f"spec:\n{named}{gateways}{own}{http}")
    if made.more:
        parts.append(made.more)
    return placed("---\n".join(parts), endpoints, edges)


def _service(name: str, host: str, policy: str) -> list[str]:
    ports = f"[{{number: {PORT}, name: http, protocol: HTTP}}]"
    subsets = ", ".join(f"{{name: {v}, labels: {{version: {v}}}}}" for v in VERSIONS)
    more = f", trafficPolicy: {policy}" if policy else ""
    where = "resolution: STATIC, location: MESH_INTERNAL, endpoints: $ENDS"
    return [
        _META.format("ServiceEntry", name) + f"spec: {{hosts: [{host}], ports: {ports}, {where}}}\n",
        _META.format("DestinationRule", name) + f"spec: {{host: {host}, subsets: [{subsets}]{more}}}\n",
    ]


def placed(text: str, endpoints: Places, edges: tuple[str, str]) -> str:
    """A text with where the versions and the gateways are."""
    for number, (address, port) in enumerate(endpoints.values(), 1):
        text = text.replace(f"$A{number}", address).replace(f"$P{number}", str(port))
    for number, address in enumerate(edges, 1):
        text = text.replace(f"$E{number}", address)
    return text.replace("$ENDS", _ends(endpoints, "http")).replace("$RAW", _ends(endpoints, "tls", "db"))


def _ends(endpoints: Places, *ports: str) -> str:
    each = (
        f"{{address: {address}, labels: {{version: {version}}}, ports: {{{', '.join(f'{name}: {port}' for name in ports)}}}}}"
        for version, (address, port) in endpoints.items()
    )
    return f"[{', '.join(each)}]"


def common() -> str:
    """What all cases have together: the Gateway."""
    servers = (
        f"[{{port: {{number: {EDGE_PORT}, name: http, protocol: HTTP}}, hosts: ['*']}}, "
        f"{{port: {{number: {TLS_PORT}, name: tls, protocol: TLS}}, tls: {{mode: PASSTHROUGH}}, hosts: ['*.example.com']}}]"
    )
    return _META.format("Gateway", EDGE) + f"spec: {{selector: {{istio: ingressgateway}}, servers: {servers}}}\n"


def called() -> dict[str, Case]:
    """The cases that have a call."""
    return {host: case for host, case in hosts().items() if case.via != PAPER}


def of_world(world: str) -> dict[str, Case]:
    """The cases that are called in it, by their hosts."""
    return {host: case for host, case in called().items() if case.world == world}
