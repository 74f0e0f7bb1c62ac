"""Requests from outside."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.simulation.cases import Case, actions, matching, to


def edge(name: str, rules: str, **more: object) -> Case:
    return Case(f"gateway: {name}", rules, via="gateway", **more)  # type: ignore[arg-type]


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
    *(replace(case, name=f"gateway: {case.name}", via="gateway") for case in _ALSO),
)  # fmt: skip
