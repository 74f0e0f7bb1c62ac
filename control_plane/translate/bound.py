"""VirtualServices as they take effect: names in full, the rules of delegates in the place of those that name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from control_plane.translate.delegates import with_delegates
from control_plane.translate.hosts import qualified
from control_plane.translate.scope import visible
from mesh.istio.virtual_service import MESH_GATEWAY, Delegate, HTTPMatchRequest, VirtualService
from mesh.istio.virtual_service_tcp import L4MatchAttributes

if TYPE_CHECKING:
    from mesh.istio.resource import Resource


@dataclass(frozen=True, slots=True, eq=False)
class BoundService:
    """A VirtualService with its hosts and gateways in full. `asks_namespace` says whether any of its rules depends on
    the namespace of the client, `delegates` whether others' rules are among them."""

    resource: Resource
    spec: VirtualService
    hosts: tuple[str, ...]
    gateways: frozenset[str]
    asks_namespace: bool
    delegates: bool = False

    @property
    def namespace(self) -> str:
        return self.resource.key.namespace

    @property
    def name(self) -> str:
        return self.resource.key.name


def gateway_name(name: str, namespace: str) -> str:
    """A gateway named in a rule of `namespace`, in full; the reserved name stays as it is."""
    return name if "/" in name or name == MESH_GATEWAY else f"{namespace}/{name}"


Parts = Mapping[tuple[str, str], VirtualService]  # VirtualServices without hosts, by namespace and name


def delegates(resource: Resource) -> bool:
    return any(rule.delegate is not None for rule in resource.spec.http)


def bind(resource: Resource, parts: Parts) -> BoundService:
    namespace = resource.key.namespace

    def delegate(named: Delegate) -> VirtualService | None:
        where = named.namespace or namespace
        found = parts.get((where, named.name))
        return found if found is not None and visible(found.export_to, where, namespace) else None

    spec = with_delegates(resource.spec, delegate)
    return BoundService(
        resource,
        spec,
        tuple(dict.fromkeys(qualified(host, namespace) for host in spec.hosts)),
        frozenset(gateway_name(name, namespace) for name in spec.gateways or (MESH_GATEWAY,)),
        any(match.source_namespace for match in _all_matches(spec)),
        delegates(resource),
    )


def _all_matches(spec: VirtualService) -> Iterator[HTTPMatchRequest | L4MatchAttributes]:
    for http in spec.http:
        yield from http.match
    for tls in spec.tls:
        yield from tls.match
    for tcp in spec.tcp:
        yield from tcp.match


def source_labels(virtual_services: Iterable[BoundService]) -> tuple[str, ...]:
    """The labels by which any VirtualService tells its clients apart."""
    matches = (match for bound in virtual_services for match in _all_matches(bound.spec))
    return tuple(sorted({label for match in matches for label in match.source_labels}))
