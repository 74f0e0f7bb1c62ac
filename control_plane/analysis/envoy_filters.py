"""EnvoyFilters: whether what they change may depend on the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from control_plane.analysis.codes import RELATIVE_PATCH
from control_plane.analysis.examined import Examined
from control_plane.analysis.finding import Finding, finding
from mesh.istio.envoy_filter import PatchOperation

_RELATIVE: Final = frozenset((PatchOperation.INSERT_BEFORE, PatchOperation.INSERT_AFTER))


def relative_patches(seen: Examined) -> Iterator[Finding]:
    """A place beside another filter, which an EnvoyFilter without a priority may not find there yet."""
    for resource in seen.of("EnvoyFilter"):
        if resource.spec.priority:
            continue
        for position, patch in enumerate(resource.spec.config_patches):
            if patch.patch.operation in _RELATIVE:
                message = (
                    "This EnvoyFilter does not have a priority and has a relative patch operation set which can cause the "
                    "EnvoyFilter not to be applied. Using the INSERT_FIRST or ADD option or setting the priority may help "
                    "in ensuring the EnvoyFilter is applied correctly."
                )
                path = ("spec", "configPatches", position, "patch", "operation")
                yield finding(RELATIVE_PATCH, resource, path, message)
