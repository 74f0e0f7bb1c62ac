"""Kubernetes' Service, core v1: a name for the workloads that its selector picks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, PlainValidator

from mesh.istio.model import Found, Message, repeated, shown
from mesh.istio.scalars import Count, Labels, OptionalDnsLabel, PortNumber, Rows, Word, host_problem, is_ip, wrong

HEADLESS: Final = "None"

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?", re.ASCII)


class ServiceType(StrEnum):
    CLUSTER_IP = "ClusterIP"
    EXTERNAL_NAME = "ExternalName"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class TransportProtocol(StrEnum):
    TCP = "TCP"


class SessionAffinity(StrEnum):
    NONE = "None"
    CLIENT_IP = "ClientIP"


class TrafficDistribution(StrEnum):
    """Where endpoints are preferred. PreferClose is the old name of PreferSameZone."""

    ANY = ""
    CLOSE = "PreferClose"
    SAME_ZONE = "PreferSameZone"
    SAME_NODE = "PreferSameNode"


class TrafficScope(StrEnum):
    CLUSTER = "Cluster"


class ExternalTrafficScope(StrEnum):
    CLUSTER = "Cluster"
    LOCAL = "Local"


MAX_AFFINITY_SECONDS: Final = 86400


class ClientIPConfig(Message):
    timeout_seconds: Annotated[Count, Field(ge=1, le=MAX_AFFINITY_SECONDS)] | None = None


class SessionAffinityConfig(Message):
    client_ip: ClientIPConfig | None = Field(default=None, alias="clientIP")


def _target_port(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise wrong(f"must be a port number or a port's name, not {shown(value)}")
    if isinstance(value, int) and not 1 <= value <= 65535:
        raise wrong(f"must be a port number from 1 to 65535, not {value}")
    if isinstance(value, str) and not _PORT_NAME.fullmatch(value):
        hint = "; leave out the quotes" if value.isascii() and value.isdigit() else ""
        raise wrong(f"must be a port number or a port's name, not {shown(value)}{hint}")
    return value


def _cluster_ip(value: str) -> str:
    if value not in ("", HEADLESS) and not is_ip(value):
        raise wrong(f"must be an IP address or None, not {shown(value)}")
    return value


def _external_ip(value: str) -> str:
    if not is_ip(value):
        raise wrong(f"must be an IP address, not {shown(value)}")
    return value


ClusterIP = Annotated[str, AfterValidator(_cluster_ip)]


class ServicePort(Message):
    """`target_port` is where the workload listens (a number or the name of a container's port), None for `port` itself;
    the service's protocol follows from `app_protocol`, else from the prefix of `name` (`http-web`)."""

    port: PortNumber
    name: OptionalDnsLabel = ""
    target_port: Annotated[int | str | None, PlainValidator(_target_port)] = None
    protocol: Word[TransportProtocol] = TransportProtocol.TCP
    app_protocol: str = ""
    node_port: Count = 0


class ServiceSpec(Message):
    """`selector` empty picks nothing: the endpoints come from elsewhere."""

    ports: Rows[ServicePort] = ()
    selector: Labels = Field(default_factory=dict)
    type: Word[ServiceType] = ServiceType.CLUSTER_IP
    cluster_ip: ClusterIP = Field(default="", alias="clusterIP")
    cluster_ips: Rows[ClusterIP] = Field(default=(), alias="clusterIPs")
    # What a server fills in: only the values that change nothing.
    ip_families: Rows[str] = ()
    ip_family_policy: str = ""
    allocate_load_balancer_node_ports: bool = True
    load_balancer_ip: str = Field(default="", alias="loadBalancerIP")
    load_balancer_source_ranges: Rows[str] = ()
    load_balancer_class: str = ""
    external_ips: Rows[Annotated[str, AfterValidator(_external_ip)]] = Field(default=(), alias="externalIPs")
    health_check_node_port: Count = 0
    external_name: str = ""
    traffic_distribution: Word[TrafficDistribution] = TrafficDistribution.ANY
    session_affinity: Word[SessionAffinity] = SessionAffinity.NONE
    session_affinity_config: SessionAffinityConfig | None = None
    publish_not_ready_addresses: bool = False
    internal_traffic_policy: Word[TrafficScope] = TrafficScope.CLUSTER
    external_traffic_policy: Word[ExternalTrafficScope] = ExternalTrafficScope.CLUSTER

    def rules(self) -> Iterator[Found]:
        external = self.type is ServiceType.EXTERNAL_NAME
        if external and (problem := host_problem(self.external_name, wildcard=False)):
            yield Found(("externalName",), problem)
        if self.external_name and not external:
            yield Found(("externalName",), "takes effect only with type ExternalName")
        config = self.session_affinity_config
        if (
            config is not None
            and config.client_ip is not None
            and self.session_affinity is not SessionAffinity.CLIENT_IP
        ):
            yield Found(("sessionAffinityConfig",), "takes effect only with sessionAffinity: ClientIP")
        if not self.ports and not external and self.cluster_ip != HEADLESS:
            yield Found(("ports",), "must have at least one port")
        for index, port in enumerate(self.ports):
            if not port.name and len(self.ports) > 1:
                yield Found(("ports", index, "name"), "is required where there are several ports")
        for index, name in repeated(port.name for port in self.ports):
            if name:
                yield Found(("ports", index, "name"), f'there is a port "{name}" already')
        for index, number in repeated(port.port for port in self.ports):
            yield Found(("ports", index, "port"), f"there is a port {number} already")


def summary(spec: Mapping[str, Any]) -> str:
    """The ports."""
    return ", ".join(f"{p.get('port')}/{p.get('name', p.get('protocol', 'TCP'))}" for p in spec.get("ports", []))
