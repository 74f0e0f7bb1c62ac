"""EnvoyFilter: changes to what is sent to proxies, in Envoy's own terms. The last resort: what a proxy cannot take of it, it
rejects, and goes on with what it had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import re2
from pydantic import Field

from mesh.istio.envoy_value import merge, value_problem
from mesh.istio.model import Found, Message
from mesh.istio.scalars import Integer, Labels, PortNumber, Regex, Rows, Word


class ApplyTo(StrEnum):
    LISTENER = "LISTENER"
    FILTER_CHAIN = "FILTER_CHAIN"
    LISTENER_FILTER = "LISTENER_FILTER"
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
    MERGE_AND_REPLACE_LIST = "MERGE_AND_REPLACE_LIST"
    ADD = "ADD"
    REMOVE = "REMOVE"
    INSERT_BEFORE = "INSERT_BEFORE"
    INSERT_AFTER = "INSERT_AFTER"
    INSERT_FIRST = "INSERT_FIRST"
    REPLACE = "REPLACE"


ISTIO_VERSION: Final = "ISTIO_VERSION"

O = PatchOperation  # noqa: E741 - short, for the table
_MERGES: Final = (O.MERGE, O.MERGE_AND_REPLACE_LIST)
# What is implemented, by what it is applied to.
OPERATIONS: Final[Mapping[ApplyTo, frozenset[PatchOperation]]] = {
    ApplyTo.LISTENER: frozenset((*_MERGES, O.ADD, O.REMOVE)),
    ApplyTo.FILTER_CHAIN: frozenset((*_MERGES, O.ADD, O.REMOVE)),
    ApplyTo.LISTENER_FILTER: frozenset(O),
    ApplyTo.NETWORK_FILTER: frozenset(O),
    ApplyTo.HTTP_FILTER: frozenset(O),
    ApplyTo.ROUTE_CONFIGURATION: frozenset(_MERGES),
    ApplyTo.VIRTUAL_HOST: frozenset((*_MERGES, O.ADD, O.REMOVE)),
    ApplyTo.HTTP_ROUTE: frozenset((*_MERGES, O.ADD, O.REMOVE, O.INSERT_FIRST, O.INSERT_BEFORE, O.INSERT_AFTER)),
    ApplyTo.CLUSTER: frozenset((*_MERGES, O.ADD, O.REMOVE)),
}


class SubFilterMatch(Message):
    name: str = ""


class NetworkFilterMatch(Message):
    name: str = ""
    sub_filter: SubFilterMatch | None = None


class ChainMatch(Message):
    """`application_protocols` is a list with commas, as Istio has it."""

    name: str = ""
    sni: str = ""
    transport_protocol: str = ""
    application_protocols: str = ""
    filter: NetworkFilterMatch | None = None
    destination_port: PortNumber | None = None


class ListenerMatch(Message):
    port_number: PortNumber | None = None
    name: str = ""
    filter_chain: ChainMatch | None = None
    listener_filter: str = ""

    @property
    def filter(self) -> NetworkFilterMatch:
        chain = self.filter_chain
        return chain.filter if chain is not None and chain.filter is not None else NetworkFilterMatch()


class ProxyMatch(Message):
    """What a proxy says of itself in its node's metadata: `ISTIO_VERSION`, and others as they are."""

    proxy_version: Regex | None = None
    metadata: dict[str, str] = Field(default_factory=dict)

    def is_for(self, said: Mapping[str, str]) -> bool:
        if self.proxy_version and not re2.search(self.proxy_version, said.get(ISTIO_VERSION, "")):
            return False
        return all(said.get(name) == value for name, value in self.metadata.items())


class RouteAction(StrEnum):
    ANY = "ANY"
    ROUTE = "ROUTE"
    REDIRECT = "REDIRECT"
    DIRECT_RESPONSE = "DIRECT_RESPONSE"


class RouteNameMatch(Message):
    name: str = ""
    action: Word[RouteAction] = RouteAction.ANY


class VirtualHostMatch(Message):
    name: str = ""
    route: RouteNameMatch | None = None
    domain_name: str = ""


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
    proxy: ProxyMatch | None = None
    listener: ListenerMatch | None = None
    route_configuration: RouteConfigurationMatch | None = None
    cluster: ClusterMatch | None = None


_ANYTHING = ObjectMatch()


class FilterClass(StrEnum):
    UNSPECIFIED = "UNSPECIFIED"
    AUTHN = "AUTHN"
    AUTHZ = "AUTHZ"
    STATS = "STATS"


class Patch(Message):
    operation: Word[PatchOperation]
    value: dict[str, Any] = Field(default_factory=dict)
    filter_class: Word[FilterClass] = FilterClass.UNSPECIFIED

    @property
    def merges(self) -> bool:
        return self.operation in (PatchOperation.MERGE, PatchOperation.MERGE_AND_REPLACE_LIST)

    def merge_into(self, message: Any) -> None:
        merge(message, self.value, replace_lists=self.operation is PatchOperation.MERGE_AND_REPLACE_LIST)


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
        elif operation is PatchOperation.REPLACE and not self._named():
            yield Found(("match",), "must name what is to be replaced")
        elif operation is not PatchOperation.REMOVE and (problem := value_problem(self.apply_to, self.patch.value)):
            yield Found(("patch", "value"), problem)

    def _named(self) -> str:
        """The filter that is meant, empty for any."""
        match = self.match.listener or ListenerMatch()
        if self.apply_to is ApplyTo.LISTENER_FILTER:
            return match.listener_filter
        if self.apply_to is ApplyTo.NETWORK_FILTER:
            return match.filter.name
        return match.filter.sub_filter.name if match.filter.sub_filter is not None else ""


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
