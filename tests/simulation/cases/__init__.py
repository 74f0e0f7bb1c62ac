"""Cases: what is configured, one call, and what becomes of it. Each has a host of its own, so that all of them are one
configuration, evaluated on paper (`test_cases.py`) and called through our sidecar and a real Envoy that have it from our
control plane (`tests/integration/cases`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

HOST: Final = "$HOST"
VERSIONS: Final = ("v1", "v2", "v3")
EDGE: Final = "edge"  # the Gateway that cases with via="gateway" are bound to
PORT: Final = 80
EDGE_PORT: Final = 8080
TLS_PORT: Final = 8443
TCP_PORT: Final = 8090

_META: Final = "apiVersion: networking.istio.io/v1\nkind: {}\nmetadata: {{name: {}}}\n"


@dataclass(frozen=True, slots=True)
class Case:
    """`rules` are the http rules of the VirtualService for the case's host, one a line; `policy` is the trafficPolicy of
    its DestinationRule, which has the subsets v1 to v3; `spec` is put into the VirtualService besides, `more` are further
    documents. `$HOST` stands for the host in all of them, in the path and in headers.

    `to` are the versions of which one answers, none when it is the proxy; `sees` is what the service gets ("path",
    "method" or a header; None: it has none), `gets` are headers of the answer."""

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
    world: str = ""

    @property
    def versions(self) -> frozenset[str]:
        return frozenset(self.to.split())

    def on(self, host: str) -> Case:
        """The case with its host."""
        put = {name: getattr(self, name).replace(HOST, host) for name in _TEXTS}
        mappings = {
            name: {k: v.replace(HOST, host) if v is not None else None for k, v in getattr(self, name).items()}
            for name in ("headers", "sees", "gets")
        }
        return replace(self, **put, **mappings)


_TEXTS: Final = ("rules", "policy", "spec", "more", "path", "authority")


def to(subset: str) -> str:
    """The route of a rule: everything to one version."""
    return f"route: [{{destination: {{host: {HOST}, subset: {subset}}}}}]"


def matching(match: str, hit: str = "v2") -> str:
    """Rules: what matches goes to v2, everything else to v1."""
    return f"{{match: [{match}], {to(hit)}}}\n{{{to('v1')}}}"


def hosts() -> dict[str, Case]:
    """All cases by their hosts."""
    from tests.simulation.cases import actions, gateways, matches, policies

    cases = [*matches.CASES, *actions.CASES, *policies.CASES, *gateways.CASES]
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), {name for name in names if names.count(name) > 1}
    return {f"c{number:03}.example.com": case for number, case in enumerate(cases)}


def documents(host: str, case: Case, endpoints: Mapping[str, tuple[str, int]]) -> str:
    """The configuration of one case, whose versions are at these places."""
    made = case.on(host)
    name = host.partition(".")[0]
    ends = ", ".join(
        f"{{address: {address}, labels: {{version: {version}}}, ports: {{http: {port}}}}}"
        for version, (address, port) in endpoints.items()
    )
    ports = f"[{{number: {PORT}, name: http, protocol: HTTP}}]"
    subsets = ", ".join(f"{{name: {v}, labels: {{version: {v}}}}}" for v in VERSIONS)
    policy = f", trafficPolicy: {made.policy}" if made.policy else ""
    parts = [
        _META.format("ServiceEntry", name)
        + f"spec: {{hosts: [{host}], ports: {ports}, resolution: STATIC, location: MESH_INTERNAL, endpoints: [{ends}]}}\n",
        _META.format("DestinationRule", name) + f"spec: {{host: {host}, subsets: [{subsets}]{policy}}}\n",
    ]
    if made.rules or made.spec:
        rules = "".join(f"  - {line.strip()}\n" for line in made.rules.strip().splitlines())
        gateways = f"  gateways: [{EDGE}]\n" if made.via == "gateway" and "gateways:" not in made.spec else ""
        own = f"  {made.spec}\n" if made.spec else ""
        http = f"  http:\n{rules}" if rules else ""
        named = "" if "hosts:" in made.spec else f"  hosts: [{host}]\n"
        parts.append(_META.format("VirtualService", name) + f"spec:\n{named}{gateways}{own}{http}")
    if made.more:
        parts.append(made.more)
    return "---\n".join(parts)


def common() -> str:
    """What all cases have together: the Gateway."""
    servers = (
        f"[{{port: {{number: {EDGE_PORT}, name: http, protocol: HTTP}}, hosts: ['*']}}, "
        f"{{port: {{number: {TLS_PORT}, name: tls, protocol: TLS}}, tls: {{mode: PASSTHROUGH}}, hosts: ['*.example.com']}}, "
        f"{{port: {{number: {TCP_PORT}, name: tcp, protocol: TCP}}, hosts: ['*']}}, "
        f"{{port: {{number: 8081, name: redirect, protocol: HTTP}}, hosts: ['*'], tls: {{httpsRedirect: true}}}}]"
    )
    return _META.format("Gateway", EDGE) + f"spec: {{selector: {{istio: ingressgateway}}, servers: {servers}}}\n"


def world_text(name: str) -> str:
    """What holds for the whole mesh in a world."""
    return ""
