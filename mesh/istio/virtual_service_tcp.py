"""VirtualService: connections that are not looked into, told apart by address and port, or by the name in a TLS hello."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

from mesh.istio.destination import RouteDestination, weight_rules
from mesh.istio.model import Found, Message, shown
from mesh.istio.scalars import Labels, OptionalDnsLabel, PortNumber, Rows, Subnet, host_problem, wrong
from mesh.istio.virtual_service_match import GatewayName


def _sni_host(value: str) -> str:
    if value == "*" or not host_problem(value, wildcard=True):
        return value
    raise wrong(f'must be a DNS name, "*.suffix" or "*", not {shown(value)}')


class L4MatchAttributes(Message):
    """All of its conditions must hold."""

    destination_subnets: Rows[Subnet] = ()
    port: PortNumber | None = None
    source_labels: Labels = Field(default_factory=dict)
    gateways: Rows[GatewayName] = ()
    source_namespace: OptionalDnsLabel = ""


class TLSMatchAttributes(L4MatchAttributes):
    """`sni_hosts` are among the VirtualService's hosts, or part of one that is a wildcard."""

    sni_hosts: Rows[Annotated[str, AfterValidator(_sni_host)]]

    def rules(self) -> Iterator[Found]:
        if not self.sni_hosts:
            yield Found(("sniHosts",), "must name at least one host")


class TCPRoute(Message):
    """For a connection that satisfies any of `match`, or for all when there is none."""

    match: Rows[L4MatchAttributes] = ()
    route: Rows[RouteDestination]

    def rules(self) -> Iterator[Found]:
        yield from _route_rules(self.route)


class TLSRoute(Message):
    """For a connection whose TLS hello satisfies any of `match`."""

    match: Rows[TLSMatchAttributes]
    route: Rows[RouteDestination]

    def rules(self) -> Iterator[Found]:
        if not self.match:
            yield Found(("match",), "must have at least one match: a TLS route is chosen by the name that is asked for")
        yield from _route_rules(self.route)


def _route_rules(route: tuple[RouteDestination, ...]) -> Iterator[Found]:
    if not route:
        yield Found(("route",), "must have at least one destination")
    yield from weight_rules(route)
