"""A resource as it came → what it is called, and what it compiles to or why it does not."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mesh.errors import ConfigError, Problem
from mesh.gc_tuning import uncollected
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE, VIRTUAL_HOST
from sidecar.config.clusters import compile_cluster
from sidecar.config.endpoints import compile_assignment
from sidecar.config.listeners import compile_listener
from sidecar.config.model import Assignment, Cluster, Listener, RouteConfig, VirtualHost
from sidecar.config.reader import unknown_fields
from sidecar.config.routes import compile_route_config, compile_virtual_host

Compiled = Cluster | Assignment | Listener | RouteConfig | VirtualHost


@dataclass(frozen=True, slots=True)
class _Kind:
    """`module` holds the message class of the type; `name` is the field that a resource is called by; "" where the protocol
    alone says it."""

    module: str
    name: str
    compile: Callable[[Any], Compiled]


_KINDS: Final[Mapping[str, _Kind]] = {
    CLUSTER: _Kind("envoy.config.cluster.v3.cluster_pb2", "name", compile_cluster),
    ENDPOINT: _Kind("envoy.config.endpoint.v3.endpoint_pb2", "cluster_name", compile_assignment),
    LISTENER: _Kind("envoy.config.listener.v3.listener_pb2", "name", compile_listener),
    ROUTE: _Kind("envoy.config.route.v3.route_pb2", "name", compile_route_config),
    VIRTUAL_HOST: _Kind("envoy.config.route.v3.route_components_pb2", "", compile_virtual_host),
}


@dataclass(frozen=True, slots=True)
class Raw:
    """A resource of a response. `name` is '' where the protocol does not say it (state of the world)."""

    name: str
    version: str
    type_url: str
    value: bytes


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource that was looked at: exactly one of `compiled` and `error` says something."""

    raw: Raw
    name: str
    compiled: Compiled | None = None
    error: str = ""


@functools.cache
def _message_class(type_url: str) -> Any:
    return getattr(importlib.import_module(_KINDS[type_url].module), type_url.rpartition(".")[2])


def read(type_url: str, raws: tuple[Raw, ...], known: Mapping[bytes, Compiled]) -> list[Resource]:
    """Compiles the resources of one response. `known` holds what the same bytes compiled to before."""
    found: dict[str, Resource] = {}
    unnamed: list[Resource] = []
    with uncollected():
        resources = [_read(type_url, raw, known.get(raw.value)) for raw in raws]
    for resource in resources:
        if not resource.name:
            unnamed.append(resource)
        elif resource.name in found:
            found[resource.name] = Resource(resource.raw, resource.name, error="is in the response twice")
        else:
            found[resource.name] = resource
    return [*found.values(), *unnamed]


def _read(type_url: str, raw: Raw, known: Compiled | None) -> Resource:
    from google.protobuf.message import DecodeError

    kind = _KINDS[type_url]
    if known is not None:
        return Resource(raw, raw.name or name_of(known), known)
    if raw.type_url != type_url:
        return Resource(raw, raw.name, error=f"is a {raw.type_url}, not a {type_url}")
    message = _message_class(type_url)()
    try:
        message.ParseFromString(raw.value)
    except DecodeError as error:
        return Resource(raw, raw.name, error=f"cannot be decoded: {error}")
    name = str(getattr(message, kind.name)) if kind.name else raw.name
    if raw.name and name and raw.name != name:
        return Resource(raw, raw.name, error=f"is called {name!r} in the message")
    try:
        if extra := unknown_fields(message):
            raise ConfigError(*(Problem(f"field number {number} is unknown") for number in extra))
        return Resource(raw, raw.name or name, kind.compile(message))
    except ConfigError as error:
        return Resource(raw, raw.name or name, error="; ".join(map(str, error.problems)))


def name_of(compiled: Compiled) -> str:
    return compiled.cluster if isinstance(compiled, Assignment) else compiled.name
