"""VirtualService: what happens to requests for some hosts. HTTP routes only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import (
    Duration,
    ExportTo,
    Int32,
    OptionalDnsLabel,
    PortNumber,
    Rows,
    WildcardHost,
    WildcardHostOrIP,
)
from mesh.istio.virtual_service_actions import (
    FaultAbort,
    FaultDelay,
    HeaderOperations,
    Headers,
    HTTPBody,
    HTTPDirectResponse,
    HTTPFaultInjection,
    HTTPRedirect,
    HTTPRetry,
    HTTPRewrite,
    Percent,
    RedirectPortSelection,
    RegexRewrite,
    no_headers,
)
from mesh.istio.virtual_service_cors import CorsPolicy
from mesh.istio.virtual_service_match import MESH_GATEWAY, GatewayName, HTTPMatchRequest, StringMatch

_MAX_TOTAL_WEIGHT = 2**32 - 1  # Envoy's


class PortSelector(Message):
    number: PortNumber


class Destination(Message):
    host: WildcardHost
    subset: OptionalDnsLabel = ""
    port: PortSelector | None = None

    def rules(self) -> Iterator[Found]:
        if self.host == "*":
            yield Found(("host",), 'must name a service, not "*"')


class HTTPRouteDestination(Message):
    """The share of a destination is its weight in the sum of the weights; a single one gets everything."""

    destination: Destination
    weight: Int32 = 0
    headers: Headers = Field(default_factory=no_headers)


class HTTPRoute(Message):
    """One rule: it is for a request that satisfies any of `match`, or for all when there is none."""

    exactly_one = (("route", "redirect", "directResponse"),)
    # Only what is forwarded can be rewritten or get a fault.
    at_most_one = (
        ("redirect", "fault"),
        ("redirect", "rewrite"),
        ("directResponse", "fault"),
        ("directResponse", "rewrite"),
    )

    name: str = ""
    match: Rows[HTTPMatchRequest] = ()
    route: Rows[HTTPRouteDestination] = ()
    redirect: HTTPRedirect | None = None
    direct_response: HTTPDirectResponse | None = None
    rewrite: HTTPRewrite | None = None
    timeout: Duration | None = None
    retries: HTTPRetry | None = None
    fault: HTTPFaultInjection | None = None
    cors_policy: CorsPolicy | None = None
    headers: Headers = Field(default_factory=no_headers)

    def rules(self) -> Iterator[Found]:
        if not self.route and "route" in self.model_fields_set and not (self.redirect or self.direct_response):
            yield Found(("route",), "must have at least one destination")
        yield from self._authority_rules()
        total = sum(destination.weight for destination in self.route)
        if len(self.route) > 1 and total == 0:
            yield Found(("route",), "the weights of several destinations must not all be 0: nothing would be routed")
        if total > _MAX_TOTAL_WEIGHT:
            yield Found(("route",), f"the weights add up to {total}; {_MAX_TOTAL_WEIGHT} is the limit")
        if self.redirect and self.redirect.prefix_rewrite:
            for index, match in enumerate(self.match):
                if match.uri is not None and match.uri.prefix is None:
                    yield Found(("match", index, "uri"), "must be a prefix, because the redirect has a prefixRewrite")

    def _authority_rules(self) -> Iterator[Found]:
        written = ["rewrite.authority"] if self.rewrite and self.rewrite.authority else []
        for word in self.headers.request.authority:
            if written:
                yield Found(("headers", "request", word), f"the authority is set by {written[0]} already")
            written.append(f"headers.request.{word}")


class VirtualService(Message):
    """`gateways` empty means all sidecars (the reserved gateway `mesh`)."""

    hosts: Rows[WildcardHostOrIP]
    gateways: Rows[GatewayName] = ()
    http: Rows[HTTPRoute] = ()
    export_to: ExportTo = ()

    def rules(self) -> Iterator[Found]:
        if not self.http:
            yield Found(("http",), "must have at least one route")
        if not self.hosts:
            yield Found(("hosts",), "must name at least one host")
        in_mesh = not self.gateways or MESH_GATEWAY in self.gateways
        for index, host in enumerate(self.hosts):
            if host == "*" and in_mesh:
                yield Found(("hosts", index), 'must not be "*" for sidecars: name the hosts, or bind to gateways only')
        for index, name in repeated(self.hosts):
            yield Found(("hosts", index), f"{shown(name)} is there already")
        wildcards = [host for host in self.hosts if host.startswith("*")]
        for index, host in enumerate(self.hosts):
            for other in wildcards:
                if host != other and host.endswith(other[1:]):
                    yield Found(("hosts", index), f"{shown(host)} is part of {shown(other)}")


__all__ = [
    "MESH_GATEWAY",
    "Destination",
    "FaultAbort",
    "FaultDelay",
    "HTTPBody",
    "HTTPDirectResponse",
    "HTTPFaultInjection",
    "HTTPMatchRequest",
    "HTTPRedirect",
    "HTTPRetry",
    "HTTPRewrite",
    "HTTPRoute",
    "HTTPRouteDestination",
    "HeaderOperations",
    "Headers",
    "Percent",
    "PortSelector",
    "RedirectPortSelection",
    "RegexRewrite",
    "StringMatch",
    "VirtualService",
]


def summary(spec: Mapping[str, Any]) -> str:
    """Hosts, gateways, and where the last http route, the one without conditions, sends requests."""
    gateways = spec.get("gateways", [])
    via = f" via {', '.join(map(str, gateways))}" if gateways else ""
    return ", ".join(map(str, spec.get("hosts", []))) + via + _split(spec)


def _split(spec: Mapping[str, Any]) -> str:
    """` → v1 90 %, v2 10 %`."""
    routes = spec.get("http") or []
    targets = routes[-1].get("route", []) if routes else []
    names = [t.get("destination", {}).get("subset") or t.get("destination", {}).get("host", "") for t in targets]
    if len(targets) > 1:
        names = [f"{name} {target.get('weight', 0)} %" for name, target in zip(names, targets, strict=True)]
    more = f" (+{len(routes) - 1} more)" if len(routes) > 1 else ""
    return f" → {', '.join(names)}{more}" if names else ""
