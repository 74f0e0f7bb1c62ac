"""Sidecar: what the proxies of some workloads are told of, and where they may go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mesh.istio.destination_rule import ConnectionPoolSettings
from mesh.istio.model import Found, Message, shown
from mesh.istio.scalars import Labels, Rows, Word, host_problem, is_dns_label, wrong

ANY = "*"
OWN, NONE = ".", "~"


def _egress_host(value: str) -> str:
    namespace, slash, host = value.partition("/")
    if not slash:
        raise wrong(f'must be NAMESPACE/HOST, such as "./*" or "istio-system/*", not {shown(value)}')
    if namespace not in (ANY, OWN, NONE) and not is_dns_label(namespace):
        raise wrong(f'the namespace must be a name, ".", "*" or "~", not {shown(namespace)}')
    if host != ANY and (problem := host_problem(host, wildcard=True)):
        raise wrong(f"the host {problem}")
    return value


class SidecarWorkloadSelector(Message):
    labels: Labels = Field(default_factory=dict)


class IstioEgressListener(Message):
    """The hosts that are imported, as `namespace/host`; `~/*` imports none."""

    hosts: Rows[Annotated[str, AfterValidator(_egress_host)]]

    def rules(self) -> Iterator[Found]:
        if not self.hosts:
            yield Found(("hosts",), 'must name at least one host ("~/*" for none)')


class OutboundMode(StrEnum):
    REGISTRY_ONLY = "REGISTRY_ONLY"
    ALLOW_ANY = "ALLOW_ANY"


class OutboundTrafficPolicy(Message):
    mode: Word[OutboundMode] = OutboundMode.REGISTRY_ONLY


class Sidecar(Message):
    """For the workloads of its namespace that `workload_selector` picks, or without one for all that no other picks; in
    the mesh's root namespace for those of every namespace that has none of its own. Without `egress` all is imported."""

    workload_selector: SidecarWorkloadSelector | None = None
    egress: Rows[IstioEgressListener] = ()
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
    inbound_connection_pool: ConnectionPoolSettings | None = None

    @property
    def selector(self) -> Mapping[str, str]:
        return self.workload_selector.labels if self.workload_selector is not None else {}


def summary(spec: Mapping[str, Any]) -> str:
    """The hosts that are imported."""
    return ", ".join(str(host) for each in spec.get("egress", []) for host in each.get("hosts", []))
