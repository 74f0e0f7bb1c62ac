"""Kubernetes' Service, core v1: a name for the workloads that its selector picks."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from mesh.istio.model import Message, shown
from mesh.istio.scalars import Labels, PortNumber, Rows, Word, wrong


class ServiceType(StrEnum):
    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class TransportProtocol(StrEnum):
    TCP = "TCP"


class SessionAffinity(StrEnum):
    NONE = "None"


class TrafficScope(StrEnum):
    CLUSTER = "Cluster"


def _target_port(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise wrong(f"must be a port number or a port's name, not {shown(value)}")
    if isinstance(value, int) and not 1 <= value <= 65535:
        raise wrong(f"must be a port number from 1 to 65535, not {value}")
    return value


class ServicePort(Message):
    """`target_port` is where the workload listens (a number or the name of a container's port), None for `port` itself;
    the service's protocol follows from `app_protocol`, else from the prefix of `name` (`http-web`)."""

    port: PortNumber
    name: str = ""
    target_port: Annotated[int | str | None, PlainValidator(_target_port)] = None
    protocol: Word[TransportProtocol] = TransportProtocol.TCP
    app_protocol: str = ""
    node_port: int = 0


class ServiceSpec(Message):
    ports: Rows[ServicePort] = ()
    selector: Labels = Field(default_factory=dict)
    type: Word[ServiceType] = ServiceType.CLUSTER_IP
    cluster_ip: str = Field(default="", alias="clusterIP")
    cluster_ips: Rows[str] = Field(default=(), alias="clusterIPs")
    # Accepted, no effect.
    ip_families: Rows[str] = ()
    ip_family_policy: str = ""
    session_affinity: Word[SessionAffinity] = SessionAffinity.NONE
    internal_traffic_policy: Word[TrafficScope] = TrafficScope.CLUSTER
    external_traffic_policy: Word[TrafficScope] = TrafficScope.CLUSTER
