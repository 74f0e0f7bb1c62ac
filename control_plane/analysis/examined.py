"""The configuration that is looked at: look-ups that several checks need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from control_plane.translate.hosts import covers, is_wildcard, qualified
from control_plane.translate.index import Index
from control_plane.translate.indexes import index_of
from control_plane.world import Instance, Service, World
from mesh.istio.resource import Resource


class Examined:
    """One world, and which of its resources are asked about."""

    def __init__(self, world: World, resources: Mapping[str, tuple[Resource, ...]]) -> None:
        self.world = world
        self.asked = resources

    @cached_property
    def index(self) -> Index:
        return index_of(self.world)

    def of(self, kind: str) -> tuple[Resource, ...]:
        """The resources of a kind that are asked about."""
        return self.asked.get(kind, ())

    def all(self, kind: str) -> tuple[Resource, ...]:
        return self.world.resources.get(kind, ())

    def service(self, host: str, namespace: str) -> Service | None:
        """The service that a rule of `namespace` means: the one of that name, else one whose wildcard covers it."""
        name = qualified(host, namespace)
        found = self.index.service(name)
        if found is not None or is_wildcard(name):
            return found
        return next((wild for wild in self._wildcards if covers(wild.host.lower(), name)), None)

    def covered(self, pattern: str) -> Iterator[Service]:
        """The services that a host with a wildcard stands for."""
        return (service for service in self.index.services if covers(pattern, service.host.lower()))

    def instances(self, service: Service) -> tuple[Instance, ...]:
        return self.index.instances(service.host) or service.endpoints

    @cached_property
    def _wildcards(self) -> tuple[Service, ...]:
        return tuple(service for service in self.index.services if is_wildcard(service.host))
