"""VirtualService: what happens to requests and connections for some hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from mesh.istio.destination import Destination, PortSelector, RouteDestination, weight_rules
from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import (
    Duration,
    ExportTo,
    OptionalDnsLabel,
    Rows,
    WholePercent,
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
from mesh.istio.virtual_service_tcp import TCPRoute, TLSRoute


class HTTPRouteDestination(RouteDestination):
    """With what is done to the headers of its share."""

    headers: Headers = Field(default_factory=no_headers)


class HTTPMirrorPolicy(Message):
    """A copy of the requests, or of a share of them, whose answer nobody waits for."""

    destination: Destination
    percentage: Percent | None = None


class Delegate(Message):
    """Another VirtualService, without hosts, whose routes stand in the place of this one."""

    name: str
    namespace: OptionalDnsLabel = ""


class HTTPRoute(Message):
    """One rule: it is for a request that satisfies any of `match`, or for all when there is none. `mirror` with its
    percentages (the whole ones are deprecated) is the older way to write one of `mirrors`."""

    exactly_one = (("route", "redirect", "directResponse", "delegate"),)
    # Only what is forwarded can be rewritten or get a fault.
    at_most_one = (
        ("redirect", "fault"),
        ("redirect", "rewrite"),
        ("directResponse", "fault"),
        ("directResponse", "rewrite"),
        ("mirror", "mirrors"),
        ("mirrorPercentage", "mirrorPercent", "mirror_percent"),
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
    delegate: Delegate | None = None
    mirror: Destination | None = None
    mirrors: Rows[HTTPMirrorPolicy] = ()
    mirror_percentage: Percent | None = None
    mirror_percent: WholePercent | None = None
    mirror_percent_snake: WholePercent | None = Field(default=None, alias="mirror_percent")

    def rules(self) -> Iterator[Found]:
        if (
            not self.route
            and "route" in self.model_fields_set
            and not (self.redirect or self.direct_response or self.delegate)
        ):
            yield Found(("route",), "must have at least one destination")
        yield from self._authority_rules()
        yield from weight_rules(self.route)
        if self.redirect and self.redirect.prefix_rewrite:
            for index, match in enumerate(self.match):
                if match.uri is not None and match.uri.prefix is None:
                    yield Found(("match", index, "uri"), "must be a prefix, because the redirect has a prefixRewrite")

    @property
    def mirrored(self) -> tuple[tuple[Destination, float], ...]:
        """Who gets copies, and of how many percent of the requests."""
        found = [(each.destination, _share(each.percentage, None)) for each in self.mirrors]
        if self.mirror is not None:
            whole = self.mirror_percent if self.mirror_percent is not None else self.mirror_percent_snake
            found.append((self.mirror, _share(self.mirror_percentage, whole)))
        return tuple(pair for pair in found if pair[1])

    def _authority_rules(self) -> Iterator[Found]:
        written = ["rewrite.authority"] if self.rewrite and self.rewrite.authority else []
        for word in self.headers.request.authority:
            if written:
                yield Found(("headers", "request", word), f"the authority is set by {written[0]} already")
            written.append(f"headers.request.{word}")


def _share(percentage: Percent | None, whole: int | None) -> float:
    if percentage is not None:
        return percentage.value
    return 100.0 if whole is None else float(whole)


class VirtualService(Message):
    """`gateways` empty means all sidecars (the reserved gateway `mesh`). One without hosts takes effect where another
    delegates to it."""

    hosts: Rows[WildcardHostOrIP] = ()
    gateways: Rows[GatewayName] = ()
    http: Rows[HTTPRoute] = ()
    tls: Rows[TLSRoute] = ()
    tcp: Rows[TCPRoute] = ()
    export_to: ExportTo = ()

    @property
    def delegated(self) -> bool:
        """Whether this is only a part of others."""
        return not self.hosts

    def _delegation_rules(self) -> Iterator[Found]:
        if self.delegated:
            if self.gateways:
                yield Found(
                    ("gateways",), "a VirtualService without hosts is delegated to: it takes those of the other"
                )
            for word, routes in (("tls", self.tls), ("tcp", self.tcp)):
                if routes:
                    yield Found((word,), "a VirtualService without hosts is delegated to: only http can be")
            for index, rule in enumerate(self.http):
                if rule.delegate is not None:
                    yield Found(
                        ("http", index, "delegate"), "a delegate cannot delegate further: one level is the limit"
                    )

    def _sni_rules(self) -> Iterator[Found]:
        for index, route in enumerate(self.tls):
            for position, match in enumerate(route.match):
                for place, name in enumerate(match.sni_hosts):
                    if not any(_within(name, host) for host in self.hosts):
                        path = ("tls", index, "match", position, "sniHosts", place)
                        yield Found(path, f"{shown(name)} is none of the hosts, nor part of one")

    def rules(self) -> Iterator[Found]:
        if not (self.http or self.tls or self.tcp):
            yield Found(("http",), "must have at least one route (or tls, or tcp, must)")
        yield from self._delegation_rules()
        yield from self._sni_rules()
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


def _within(name: str, host: str) -> bool:
    return name == host or host == "*" or (host.startswith("*") and name.lstrip("*").endswith(host[1:]))


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
