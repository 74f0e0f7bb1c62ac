"""What becomes of a case's documents, with and without one of their fields.

A field is shown by a case that sets it, whose proxies are told something else once it is taken away; where the API wants it
to be there, once it says something else. A value with a name is shown likewise, against its field's absence or another
value. Some act elsewhere: on how a proxy starts; what is read of Kubernetes' workloads, on what `mesh analyze` says, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import Any, Final

from control_plane.analysis.texts import analyse_kinds
from control_plane.mesh_config import mesh_of
from control_plane.registry.groups import as_member
from control_plane.registry.services import discover
from control_plane.registry.workload import Workload
from control_plane.translate import Resources, build
from control_plane.world import MeshConfig, World
from mesh.cli.start_settings import start_settings, template_of
from mesh.experiments.schedule import closed, early
from mesh.experiments.stages import checks, observed_host, route_name, routes_of, stages
from mesh.istio.kinds import KINDS, READ
from mesh.istio.load import load
from mesh.istio.resource import Resource
from mesh.node import INTERCEPT_REDIRECT, ROUTER, SIDECAR, Locality, Node, ServicePort
from tests.simulation.cases import EDGE, VERSIONS, Case, common, documents, hosts
from tests.simulation.fields import Field, Use, otherwise, reference, uses

ENDS: Final = {version: (f"10.0.0.{number + 1}", 8000) for number, version in enumerate(VERSIONS)}
LABELS: Final = {"app": "client", "version": "v1"}
NODES: Final = (
    Node(SIDECAR, "127.0.1.1", "client-1", service="client", labels=LABELS, ports=(ServicePort(9080),),
         metadata={"ISTIO_VERSION": "1.27.1", "ZONE": "a"}),
    Node(ROUTER, "127.0.1.3", "edge-1", labels={"istio": "ingressgateway", "whose": "ours"}),
    Node(SIDECAR, "127.0.1.4", "beside-1", service="beside", labels={"app": "beside"}, ports=(ServicePort(80),)),
    Node(SIDECAR, "10.0.1.1", "client-2", service="client", labels=LABELS, ports=(ServicePort(9080),),
         interception=INTERCEPT_REDIRECT, has_stats=True, locality=Locality("a", "a-1", "x")),
    Node(SIDECAR, "10.0.1.2", "beside-2", service="beside", labels={"app": "beside"}, ports=(ServicePort(80),),
         interception=INTERCEPT_REDIRECT),
    Node(SIDECAR, "127.0.1.5", "member-1", service="joined", group="members"),
)  # fmt: skip


MOMENTS: Final = range(1_800_000_000, 1_800_600_000, 10_000)  # a week


class Effect(Enum):
    """Where a field shows."""

    PROXIES = ""
    START = "how a proxy starts"
    EXPERIMENT = "what an experiment does"
    ANALYSIS = "`mesh analyze`"


class Mesh:
    """A few resources with a few proxies; what is not asked for is not made."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._kinds: dict[str, tuple[Resource, ...]] = {}
        for resource in resources:
            self._kinds[resource.key.kind] = (*self._kinds.get(resource.key.kind, ()), resource)
        self._told: dict[int, Any] = {}

    @cached_property
    def nodes(self) -> list[Node]:
        groups = self._kinds.get("WorkloadGroup", ())
        named = {resource.key.name for resource in groups}
        return [as_member(node, groups) for node in NODES if not node.group or node.group in named]

    @cached_property
    def workloads(self) -> list[Workload]:
        return [Workload(node) for node in self.nodes if node.kind == SIDECAR]

    @cached_property
    def _world(self) -> World:
        services, instances = discover(self._kinds, self.workloads)
        return World(1, self._kinds, services, instances, mesh_of(MeshConfig(), self._kinds))

    def built(self, number: int) -> Resources:
        """The resources of one of the proxies."""
        return build(self._world, self.nodes[number])

    def told(self, number: int) -> Any:
        """The same, to be compared."""
        if number not in self._told:
            self._told[number] = {kind: dict(found) for kind, found in self.built(number).items()}
        return self._told[number]

    @cached_property
    def start(self) -> Any:
        """How proxies are started."""
        kinds = ("MeshConfig", "ProxyConfig")
        documents = [resource.document for kind in kinds for resource in self._kinds.get(kind, ())]
        templates = [template_of(resource.document) for resource in self._kinds.get("WorkloadGroup", ())]
        return start_settings(documents, "default", LABELS), templates

    @cached_property
    def experiments(self) -> list[Any]:
        """What experiments do: when, in which stages, with which routes, and what is judged."""
        return [_experiment(resource) for resource in self._kinds.get("Experiment", ())]

    @cached_property
    def findings(self) -> list[str]:
        return [str(finding) for finding in analyse_kinds(self._kinds, self.workloads)]

    def differs(self, other: Mesh, kind: str) -> Effect | None:
        """How this mesh differs from another one, as far as it may by a resource of this kind."""
        if len(self.nodes) != len(other.nodes) or any(self.told(n) != other.told(n) for n in range(len(self.nodes))):
            return Effect.PROXIES
        if self.start != other.start:
            return Effect.START
        if self.experiments != other.experiments:
            return Effect.EXPERIMENT
        return Effect.ANALYSIS if KINDS[kind].note == READ and self.findings != other.findings else None


def _experiment(resource: Resource) -> Any:
    spec, (_, namespace, name) = resource.spec, resource.key
    row = stages(spec)
    routes = [routes_of(spec, index, None, name, namespace) for index in range(len(row))]
    times = [(early(spec.schedule, moment), closed(spec.schedule, moment)) for moment in MOMENTS]
    return row, routes, checks(spec), route_name(spec), observed_host(spec), times


@dataclass(frozen=True)
class Told:
    """A case's resources, and the mesh that they make."""

    resources: list[Resource]
    mesh: Mesh

    def effect(self, use: Use, index: int) -> Effect | None:
        """What is different without what this resource says there."""
        for other in otherwise(self.resources[index], use):
            changed = Mesh([*self.resources[:index], other, *self.resources[index + 1 :]])
            if (effect := changed.differs(self.mesh, use.field.kind)) is not None:
                return effect
        return None

    def uses(self) -> Iterator[tuple[Use, int]]:
        """What its own documents set."""
        for index, resource in enumerate(self.resources):
            for use in uses(resource) if resource.key.name != EDGE else ():
                yield use, index

    def shows(self, field: Field) -> Effect | None:
        """What the first of its uses that matters does."""
        found = (self.effect(use, index) for use, index in self.uses() if use.field == field)
        return next((effect for effect in found if effect is not None), None)


@cache
def by_name() -> Mapping[str, tuple[str, Case]]:
    """Name → host and case."""
    return {case.name: (host, case) for host, case in hosts().items()}


@cache
def told(name: str) -> Told:
    host, case = by_name()[name]
    resources = load("---\n".join((common(), documents(host, case, ENDS))))
    return Told(resources, Mesh(resources))


MOST_TRIES: Final = 50  # cases that set a field and do not show it


def search() -> dict[Field, tuple[str, Effect]]:
    """Field → the first case that shows it, and where."""
    found: dict[Field, tuple[str, Effect]] = {}
    wanted = dict.fromkeys(reference(), MOST_TRIES)
    for name in sorted(
        by_name(), key=lambda name: not by_name()[name][1].bare
    ):  # these say nothing but what they are about
        case = told(name)
        for use, index in case.uses():
            if wanted.get(use.field) and use.field not in found:
                wanted[use.field] -= 1
                if (effect := case.effect(use, index)) is not None:
                    found[use.field] = (name, effect)
    return found
