"""ServiceEntry: a service that the registry does not know, inside or outside of the mesh."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator

from mesh.istio.model import Message
from mesh.istio.scalars import ExportTo, Labels, PortNumber, Rows, WildcardHost, Word, upper
from mesh.istio.workload_entry import WorkloadEntry


class Location(StrEnum):
    MESH_EXTERNAL = "MESH_EXTERNAL"
    MESH_INTERNAL = "MESH_INTERNAL"


class Resolution(StrEnum):
    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"


class Protocol(StrEnum):
    UNSPECIFIED = ""
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"


class ServiceEntryPort(Message):
    number: PortNumber
    name: str
    protocol: Annotated[Word[Protocol], BeforeValidator(upper)] = Protocol.UNSPECIFIED
    target_port: PortNumber | None = None


class WorkloadSelector(Message):
    labels: Labels


class ServiceEntry(Message):
    at_most_one = (("endpoints", "workloadSelector"),)

    hosts: Rows[WildcardHost]
    addresses: Rows[str] = ()
    ports: Rows[ServiceEntryPort] = ()
    location: Word[Location] = Location.MESH_EXTERNAL
    resolution: Word[Resolution] = Resolution.NONE
    endpoints: Rows[WorkloadEntry] = ()
    workload_selector: WorkloadSelector | None = None
    export_to: ExportTo = ()
