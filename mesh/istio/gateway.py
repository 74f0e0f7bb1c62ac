"""Gateway: the ports and hosts that a gateway proxy serves. Plain HTTP only."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from mesh.istio.model import Message
from mesh.istio.scalars import Labels, PortNumber, Rows, Word, upper


class ServerProtocol(StrEnum):
    HTTP = "HTTP"


class Port(Message):
    number: PortNumber
    name: str
    protocol: Annotated[Word[ServerProtocol], BeforeValidator(upper)]


class Server(Message):
    port: Port
    hosts: Rows[str]


class Gateway(Message):
    selector: Labels = Field(default_factory=dict)
    servers: Rows[Server]
