"""The configuration that is looked at: look-ups that several checks need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, NamedTuple

from control_plane.registry.selection import Labelled, Selecting
from control_plane.translate.hosts import covers, is_wildcard, qualified
from control_plane.translate.index import Index
from control_plane.translate.indexes import index_of
from control_plane.world import Instance, Service, World
from mesh.istio.resource import Resource
from mesh.node import Node

TEMPLATES: Final = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
EVERYWHERE: Final = "*"  # no namespace has this name
NO_CALLS: Final[Mapping[str, Collection[str]]] = {}


class Member(NamedTuple):
    """Something with labels that a selector may pick: a connected proxy, or a workload of a document."""

    namespace: str
    name: str
    labels: Mapping[str, str]


class Examined:
    """One world, which of its resources are asked about, the proxies that are connected, and who was seen to call whom
    (by hosts)."""

    def __init__(
        self,
        world: World,
        resources: Mapping[str, tuple[Resource, ...]],
        nodes: Sequence[Node] = (),
        calls: Mapping[str, Collection[str]] = NO_CALLS,
    ) -> None:
        self.world = world
        self.asked = resources
        self.nodes = nodes
        self.calls = calls

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
    def members(self) -> tuple[Member, ...]:
        """Everything that a selector may pick."""
        found = [Member(node.namespace, node.name, node.labels) for node in self.nodes]
        for kind in TEMPLATES:
            for resource in self.all(kind):
                labels = resource.spec.template.metadata.labels
                found.append(Member(resource.key.namespace, resource.key.name, labels))
        found += [Member(pod.key.namespace, pod.key.name, pod.labels) for pod in self.all("Pod")]
        for entry in self.all("WorkloadEntry"):
            found.append(Member(entry.key.namespace, entry.key.name, {**entry.spec.labels, **entry.labels}))
        return tuple(found)

    def picked(self, selector: Mapping[str, str], namespace: str | None = None) -> list[Member]:
        """Those with all labels of a selector, which has one at least, of a namespace or of any."""
        return self._labelled.matching(EVERYWHERE if namespace is None else namespace, selector)

    @cached_property
    def _labelled(self) -> Labelled[Member]:
        return Labelled((where, m.labels, m) for m in self.members for where in (m.namespace, EVERYWHERE))

    @cached_property
    def templates(self) -> Labelled[Resource]:
        """Deployments and their like, by the labels of their pods."""
        return Labelled(
            (each.key.namespace, each.spec.template.metadata.labels, each)
            for kind in TEMPLATES
            for each in self.all(kind)
        )

    @cached_property
    def selecting(self) -> Selecting[Resource]:
        """Services, by the labels of whom they select."""
        return Selecting((each.key.namespace, each.spec.selector, each) for each in self.all("Service"))

    @cached_property
    def _wildcards(self) -> tuple[Service, ...]:
        return tuple(service for service in self.index.services if is_wildcard(service.host))


def labels_text(labels: Mapping[str, str]) -> str:
    """`app=reviews,version=v1`."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def listed(words: Sequence[object]) -> str:
    """As Go prints a list, and so Istio: `[a b]`."""
    return f"[{' '.join(map(str, words))}]"
