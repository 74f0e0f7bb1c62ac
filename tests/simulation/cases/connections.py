"""Connections that no proxy looks into: through the sidecar by CONNECT, through the gateway by the name in a TLS hello or by
port."""

from __future__ import annotations

from typing import Final

from tests.simulation.cases import REFUSED, VERSIONS, Case, document

PORTS: Final = "ports: [{number: 443, name: tls, protocol: TLS}, {number: 5432, name: db, protocol: TCP}]"
_SUBSETS: Final = ", ".join(f"{{name: {v}, labels: {{version: {v}}}}}" for v in VERSIONS)


def service(more: str = "") -> str:
    """The service of a case."""
    entry = f"hosts: [$HOST], {PORTS}, resolution: STATIC, location: MESH_INTERNAL, endpoints: $RAW{more}"
    rule = f"host: $HOST, subsets: [{_SUBSETS}]"
    return document("ServiceEntry", entry) + "---\n" + document("DestinationRule", rule)


def to(subset: str, port: int = 5432) -> str:
    return f"route: [{{destination: {{host: $HOST, subset: {subset}, port: {{number: {port}}}}}}}]"


def tcp(name: str, rules: str, version: str, more: str = "", **expected: object) -> Case:
    """A case of connections through the sidecar, by TCP rules."""
    rule = document("VirtualService", f"hosts: [$HOST], tcp: [{rules}]")
    settings = {"via": "connect", "authority": "$HOST:5432", **expected}
    return Case(f"tcp: {name}", more=f"{service(more)}---\n{rule}", bare=True, to=version, **settings)  # type: ignore[arg-type]


def picked(match: str) -> str:
    return f"{{match: [{match}], {to('v2')}}}, {{{to('v1')}}}"


def tls(name: str, rules: str, version: str, **expected: object) -> Case:
    """A case of connections through the sidecar, by TLS rules."""
    rule = document("VirtualService", f"hosts: [$HOST], tls: [{rules}]")
    settings = {"via": "connect", "authority": "$HOST:443", **expected}
    return Case(f"tls: {name}", more=f"{service()}---\n{rule}", bare=True, to=version, **settings)  # type: ignore[arg-type]


def named(more: str = "") -> str:
    return f"{{match: [{{sniHosts: [$HOST]{more}}}], {to('v2', 443)}}}, {{match: [{{sniHosts: [$HOST]}}], {to('v1', 443)}}}"


def edge(
    name: str, rules: str, version: str, hosts: str = "[$HOST]", gateways: str = "[edge]", **expected: object
) -> Case:
    """A case of connections through the gateway, by the name in their hello."""
    rule = document("VirtualService", f"hosts: {hosts}, gateways: {gateways}, tls: [{rules}]")
    return Case(
        f"gateway: tls: {name}", more=f"{service()}---\n{rule}", bare=True, via="sni", to=version,
        **{"status": 200 if version else REFUSED, **expected},  # type: ignore[arg-type]
    )  # fmt: skip


def served(protocol: str, port: int, name: str = "", match: str = "", version: str = "v2", **expected: object) -> Case:
    """A case of a Gateway's port of its own."""
    tls = ", tls: {mode: PASSTHROUGH}" if protocol in ("TLS", "HTTPS") else ""
    server = f"port: {{number: {port}, name: $NAME, protocol: {protocol}}}, hosts: ['*']{tls}"
    said = f"sniHosts: [$HOST]{match}" if tls else f"port: {port}{match}"
    more = (
        document("Gateway", f"selector: {{istio: ingressgateway}}, servers: [{{{server}}}]"),
        document("VirtualService", f"hosts: [{'$HOST' if tls else repr('*')}], gateways: [$NAME], {'tls' if tls else 'tcp'}: "
                 f"[{{match: [{{{said}}}], {to('v2', 443 if tls else 5432)}}}]"),
        service(),
    )  # fmt: skip
    settings = {"via": "sni" if tls else "tcp", "port": port, **expected}
    title = f"gateway: a port of {protocol} {name}".strip()
    return Case(title, more="---\n".join(more), bare=True, to=version, **settings)  # type: ignore[arg-type]


CASES: Final = (
    Case("tcp: no rules", more=service(), bare=True, via="connect", authority="$HOST:5432", to="v1 v2 v3"),
    tcp("a subset", f"{{{to('v2')}}}", "v2"),
    tcp("shares", "{route: [{destination: {host: $HOST, subset: v1, port: {number: 5432}}, weight: 0}, "
        "{destination: {host: $HOST, subset: v3, port: {number: 5432}}, weight: 100}]}", "v3"),
    tcp("parts", "{route: [{destination: {host: $HOST, subset: v2, port: {number: 5432}}, weight: 1}, "
        "{destination: {host: $HOST, subset: v3, port: {number: 5432}}, weight: 3}]}", "v2 v3"),
    tcp("the port", picked("{port: 5432}"), "v2"),
    tcp("another port", picked("{port: 443}"), "v1"),
    tcp("source labels", picked("{sourceLabels: {app: client}}"), "v2"),
    tcp("source labels of others", picked("{sourceLabels: {app: other}}"), "v1"),
    tcp("source namespace", picked("{sourceNamespace: default}"), "v2"),
    tcp("source namespace of others", picked("{sourceNamespace: other}"), "v1"),
    tcp("mesh gateway", picked("{gateways: [mesh]}"), "v2"),
    tcp("another gateway", picked("{gateways: [nowhere]}"), "v1"),
    tcp("a network, of which a name says nothing", picked("{destinationSubnets: [10.99.3.0/24]}"), "v1", ", addresses: [10.99.3.1]", authority="10.99.3.1:5432"),
    tcp("any of two", picked("{sourceLabels: {app: other}}, {port: 5432}"), "v2"),
    tls("a subset", named(), "v2"),
    tls("the port", named(", port: 443"), "v2"),
    tls("another port", named(", port: 5432"), "v1"),
    tls("source labels", named(", sourceLabels: {app: client}"), "v2"),
    tls("source labels of others", named(", sourceLabels: {app: other}"), "v1"),
    tls("source namespace of others", named(", sourceNamespace: other"), "v1"),
    tls("another gateway", named(", gateways: [nowhere]"), "v1"),
    tls("a network, of which a name says nothing", named(", destinationSubnets: [10.99.4.0/24]"), "v1"),
    edge("a name", f"{{match: [{{sniHosts: [$HOST]}}], {to('v2', 443)}}}", "v2"),
    edge("a wildcard", f"{{match: [{{sniHosts: ['*.$HOST']}}], {to('v3', 443)}}}", "v3", "['*.$HOST']", authority="a.$HOST"),
    edge("either name", f"{{match: [{{sniHosts: [$HOST, also.$HOST]}}], {to('v2', 443)}}}", "v2", "[$HOST, also.$HOST]",
         authority="also.$HOST"),
    edge("a name that nobody has", f"{{match: [{{sniHosts: [$HOST]}}], {to('v2', 443)}}}", "", authority="other-$HOST"),
    edge("the server's port", named(", port: 8443"), "v2"),
    edge("another port", named(", port: 443"), "v1"),
    edge("by its name", named(", gateways: [edge]"), "v2", gateways="[edge, mesh]"),
    edge("source labels are the gateway's", named(", sourceLabels: {istio: ingressgateway}"), "v2"),
    served("TLS", 9101),
    served("HTTPS", 9102),
    served("TCP", 9103),
    served("MONGO", 9104),
    served("MYSQL", 9105),
    served("REDIS", 9106),
    served("TCP", 9107, "by the gateway's labels", ", sourceLabels: {istio: ingressgateway}"),
    served("TCP", 9108, "for a sidecar's labels", ", sourceLabels: {app: client}", "", status=REFUSED),
)  # fmt: skip
