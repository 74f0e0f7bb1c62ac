"""EnvoyFilter: changes to what is sent to proxies, in Envoy's own terms. The last resort: what a proxy cannot take of it, it
rejects, and goes on with what it had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from mesh.istio.envoy_value import value_problem
from mesh.istio.model import Found, Message
from mesh.istio.scalars import Integer, Labels, PortNumber, Rows, Word


class ApplyTo(StrEnum):
    LISTENER = "LISTENER"
    NETWORK_FILTER = "NETWORK_FILTER"
    HTTP_FILTER = "HTTP_FILTER"
    ROUTE_CONFIGURATION = "ROUTE_CONFIGURATION"
    VIRTUAL_HOST = "VIRTUAL_HOST"
    HTTP_ROUTE = "HTTP_ROUTE"
    CLUSTER = "CLUSTER"


class PatchContext(StrEnum):
    ANY = "ANY"
    SIDECAR_INBOUND = "SIDECAR_INBOUND"
    SIDECAR_OUTBOUND = "SIDECAR_OUTBOUND"
    GATEWAY = "GATEWAY"


class PatchOperation(StrEnum):
    MERGE = "MERGE"
    ADD = "ADD"
    REMOVE = "REMOVE"
    INSERT_BEFORE = "INSERT_BEFORE"
    INSERT_AFTER = "INSERT_AFTER"
    INSERT_FIRST = "INSERT_FIRST"


O = PatchOperation  # noqa: E741 - short, for the table
# What is implemented, by what it is applied to.
OPERATIONS: Final[Mapping[ApplyTo, frozenset[PatchOperation]]] = {
    ApplyTo.LISTENER: frozenset((O.MERGE, O.REMOVE)),
    ApplyTo.NETWORK_FILTER: frozenset((O.MERGE,)),
    ApplyTo.HTTP_FILTER: frozenset((O.INSERT_BEFORE, O.INSERT_AFTER, O.INSERT_FIRST, O.REMOVE, O.MERGE)),
    ApplyTo.ROUTE_CONFIGURATION: frozenset((O.MERGE,)),
    ApplyTo.VIRTUAL_HOST: frozenset((O.MERGE, O.ADD, O.REMOVE)),
    ApplyTo.HTTP_ROUTE: frozenset((O.MERGE, O.ADD, O.REMOVE, O.INSERT_FIRST)),
    ApplyTo.CLUSTER: frozenset((O.MERGE, O.ADD, O.REMOVE)),
}


class SubFilterMatch(Message):
    name: str = ""


class NetworkFilterMatch(Message):
    name: str = ""
    sub_filter: SubFilterMatch | None = None


class ChainMatch(Message):
    filter: NetworkFilterMatch | None = None


class ListenerMatch(Message):
    port_number: PortNumber | None = None
    name: str = ""
    filter_chain: ChainMatch | None = None

    @property
    def filter(self) -> NetworkFilterMatch:
        chain = self.filter_chain
        return chain.filter if chain is not None and chain.filter is not None else NetworkFilterMatch()


class RouteNameMatch(Message):
    name: str = ""


class VirtualHostMatch(Message):
    name: str = ""
    route: RouteNameMatch | None = None


class RouteConfigurationMatch(Message):
    name: str = ""
    port_number: PortNumber | None = None
    vhost: VirtualHostMatch | None = None


class ClusterMatch(Message):
    port_number: PortNumber | None = None
    service: str = ""
    subset: str = ""
    name: str = ""


class ObjectMatch(Message):
    at_most_one = (("listener", "routeConfiguration", "cluster"),)

    context: Word[PatchContext] = PatchContext.ANY
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None


_ANYTHING = ObjectMatch()


class Patch(Message):
    operation: Word[PatchOperation]
    value: dict[str, Any] = Field(default_factory=dict)


class ConfigPatch(Message):
    apply_to: Word[ApplyTo]
    match: ObjectMatch = Field(default_factory=lambda: _ANYTHING)
    patch: Patch

    def rules(self) -> Iterator[Found]:
        operation = self.patch.operation
        if operation not in (known := OPERATIONS[self.apply_to]):
            names = ", ".join(sorted(known))
            yield Found(
                ("patch", "operation"), f"{operation} of {self.apply_to} is not implemented yet; there is {names}"
            )
        elif operation is not PatchOperation.REMOVE and (problem := value_problem(self.apply_to, self.patch.value)):
            yield Found(("patch", "value"), problem)


class PatchedWorkloads(Message):
    labels: Labels = Field(default_factory=dict)


class EnvoyFilter(Message):
    """For the proxies of its namespace that `workload_selector` picks, all of them without one; in the mesh's root namespace
    for those of every namespace. Lower `priority` goes first, the root namespace before others, then the older."""

    workload_selector: PatchedWorkloads | None = None
    config_patches: Rows[ConfigPatch] = ()
    priority: Annotated[Integer, Field(ge=-(2**31), le=2**31 - 1)] = 0

    @property
    def labels(self) -> Mapping[str, str]:
        return self.workload_selector.labels if self.workload_selector is not None else {}


def summary(spec: Mapping[str, Any]) -> str:
    """What it changes."""
    patches = spec.get("configPatches", [])
    return ", ".join(f"{each.get('patch', {}).get('operation')} {each.get('applyTo')}" for each in patches)
