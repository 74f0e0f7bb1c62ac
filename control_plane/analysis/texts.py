"""Files → their resources and what is wrong with them: an analysis goes on where an apply would refuse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from control_plane.analysis.analyse import analyse_everything, gravest_first
from control_plane.analysis.finding import Finding, schema_error
from control_plane.analysis.retries import Calls
from control_plane.analysis.suppress import Suppression
from control_plane.mesh_config import mesh_of
from control_plane.registry.services import Kinds, discover
from control_plane.registry.workload import Workload
from control_plane.world import MeshConfig, World
from mesh.errors import Problem
from mesh.istio.load import NOTHING, examine_text
from mesh.istio.resource import Key, Resource


class Text(NamedTuple):
    """A file by its name, and what is in it."""

    name: str
    text: str


class Read(NamedTuple):
    """What some files say; `problems` is what cannot be understood, `skipped` are kinds of others, and empty files."""

    resources: tuple[Resource, ...]
    problems: tuple[Problem, ...]
    skipped: tuple[Problem, ...]


def read(texts: Iterable[Text]) -> Read:
    """Everything that can be understood; of a resource that is there twice the first."""
    found: dict[Key, Resource] = {}
    problems: list[Problem] = []
    skipped: list[Problem] = []
    for name, text in texts:
        loaded, wrong = examine_text(text, name)
        problems += wrong
        if not wrong and not any(loaded):
            skipped.append(Problem(NOTHING, file=name))
        skipped += loaded.skipped
        for resource in loaded.resources:
            first = found.setdefault(resource.key, resource)
            if first is not resource:
                message = f"{resource.key} is there twice, first in {first.file}:{first.line}"
                problems.append(Problem(message, "metadata.name", resource.file, resource.line))
    return Read(tuple(found.values()), tuple(problems), tuple(skipped))


def analyse_kinds(
    kinds: Kinds,
    workloads: Sequence[Workload] = (),
    calls: Calls | None = None,
    suppressions: Iterable[Suppression] = (),
    mesh: MeshConfig = MeshConfig(),  # noqa: B008 - frozen
) -> list[Finding]:
    """What is to be said of resources, and of those who are connected. `mesh` are the settings without a MeshConfig."""
    services, instances = discover(kinds, workloads)
    world = World(0, kinds, services, instances, mesh_of(mesh, kinds))
    return analyse_everything(world, [each.node for each in workloads if each.connected], calls, suppressions)


def analyse_texts(texts: Iterable[Text], suppressions: Iterable[Suppression] = ()) -> tuple[list[Finding], Read]:
    """What is to be said of files by themselves."""
    found = read(texts)
    kinds: dict[str, tuple[Resource, ...]] = {}
    for resource in found.resources:
        kinds[resource.key.kind] = (*kinds.get(resource.key.kind, ()), resource)
    findings = [*map(schema_error, found.problems), *analyse_kinds(kinds, suppressions=suppressions)]
    return gravest_first(findings), found
