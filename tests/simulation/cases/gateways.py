"""Requests from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.simulation.cases import REFUSED, Case, actions, document, matching, to


def edge(name: str, rules: str, **more: object) -> Case:
    return Case(f"gateway: {name}", rules, via="gateway", **more)  # type: ignore[arg-type]


def served(
    protocol: str,
    port: int,
    name: str = "",
    more: str = "",
    hosts: str = "['*']",
    selector: str = "{istio: ingressgateway}",
    **expected: object,
) -> Case:
    """A case of a Gateway of its own."""
    server = f"port: {{number: {port}, name: $NAME, protocol: {protocol}}}, hosts: {hosts}{more}"
    return Case(
        f"a server of {protocol} {name}".strip(), f"{{{to('v2')}}}", spec="gateways: [$NAME]", via="gateway", port=port,
        more=document("Gateway", f"selector: {selector}, servers: [{{{server}}}]"), **{"to": "v2", **expected},  # type: ignore[arg-type]
    )  # fmt: skip


_ALSO = (
    *actions.REWRITES,
    *(case for case in actions.REDIRECTS if "derivePort" not in case.rules),
    *actions.HEADERS,
    *actions.ANSWERS[:2],
    *actions.CORS,
    *actions.MIRRORS[:2],
)

CASES: Final = (
    edge("a rule", f"{{{to('v2')}}}", to="v2"),
    edge("a path", matching("{uri: {prefix: /a}}"), path="/a/b", to="v2"),
    edge("another path", matching("{uri: {prefix: /a}}"), path="/b", to="v1"),
    edge("no rule matches", f"{{match: [{{uri: {{exact: /a}}}}], {to('v1')}}}", path="/b", to="", status=404),
    edge("the server's port", matching("{port: 8080}"), to="v2"),
    edge("another port", matching("{port: 80}"), to="v1"),
    edge("by its name", matching("{gateways: [default/edge]}"), to="v2"),
    edge("for sidecars only", f"{{{to('v2')}}}", spec="gateways: [mesh]", to="", status=404),
    edge("for both", f"{{{to('v2')}}}", spec="gateways: [mesh, edge]", to="v2"),
    edge("exported elsewhere", f"{{{to('v2')}}}", spec="exportTo: [other]", to="", status=404),
    edge("a wildcard host", f"{{{to('v3')}}}", spec="hosts: ['*.$HOST']", authority="a.$HOST", to="v3"),
    edge("an unknown host", f"{{{to('v1')}}}", authority="unknown.example.net", to="", status=404),
    edge("source labels are the gateway's", matching("{sourceLabels: {istio: ingressgateway}}"), to="v2"),
    edge("redirect to the port of the request", "{redirect: {uri: /n, derivePort: FROM_REQUEST_PORT}}", to="", status=301,
         gets={"location": "http://$HOST:8080/n"}),
    edge("redirect to the protocol's port", "{redirect: {uri: /n, derivePort: FROM_PROTOCOL_DEFAULT}}", to="", status=301,
         gets={"location": "http://$HOST/n"}),
    *(replace(case, name=f"gateway: {case.name}", via="gateway") for case in _ALSO),
    served("HTTP", 9001),
    served("HTTP2", 9002),
    served("GRPC", 9003),
    served("GRPC-WEB", 9004),
    Case("a server that is bound", f"{{{to('v2')}}}", spec="gateways: [$NAME-1, $NAME-2]", via="gateway", port=9005, to="v2",
         more="---\n".join(
             document("Gateway", f"selector: {{whose: {whose}}}, servers: [{{port: {{number: 9005, name: http, protocol: HTTP}}, "
                      f"hosts: ['*'], bind: $E{number}}}]", f"$NAME-{number}")
             for number, whose in enumerate(("ours", "envoy"), 1))),
    served("HTTP", 9006, "of other gateways", selector="{istio: other}", to="", status=REFUSED),
    served("HTTP", 9007, "of every gateway", selector="{}"),
    served("HTTP", 9008, "redirected to HTTPS", ", tls: {httpsRedirect: true}", to="", status=301,
           gets={"location": "https://$HOST/"}),
    served("HTTP", 9009, "for other hosts", hosts="['*.example.net']", to="", status=404),
    served("HTTP", 9010, "of another namespace", hosts="[other/*]", to="", status=404),
    served("HTTP", 9011, "of a namespace", hosts="[default/*]"),
)  # fmt: skip
