"""/config_dump: the configuration in effect, as Envoy shows it, from the messages that it was compiled from."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from json import dumps, loads
from typing import Any

from mesh import xds
from sidecar.admin import masks
from sidecar.admin.views import QueryError, RuntimeView, compile_filter
from sidecar.config import model
from sidecar.config.types import import_type

_PREFIX = "type.googleapis.com/envoy.admin.v3."
_ANY = "type.googleapis.com/"

# (kind, name) → the version an xDS resource came with; "" when it is not known.
Versions = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource: its name, its message's bytes, and the field that holds it (`cluster` …)."""

    name: str
    source: bytes
    version: str


@dataclass(frozen=True, slots=True)
class Section:
    """A repeated field of one of the dumps."""

    dump: str
    field: str
    item_type: str
    resource_field: str
    type_url: str
    entries: Iterable[Entry]


def sections(runtime: RuntimeView, versions: Versions, *, include_eds: bool) -> Iterator[Section]:
    """All that is configured, in Envoy's order."""
    static_clusters = {cluster.name for cluster in runtime.bootstrap.clusters}
    static_listeners = {listener.name for listener in runtime.bootstrap.listeners}
    clusters = [
        (cluster.name, cluster.config.source, cluster.config.name in static_clusters)
        for cluster in runtime.clusters.values()
    ]
    yield from _pair("ClustersConfigDump", "clusters", "Cluster", "cluster", xds.CLUSTER, clusters, versions, "_active")
    if include_eds:
        yield from _endpoints(runtime, static_clusters, versions)
    listeners = [
        (name, listener.config.source, name in static_listeners) for name, listener in runtime.listeners.items()
    ]
    yield from _pair("ListenersConfigDump", "listeners", "Listener", "listener", xds.LISTENER, listeners, versions, "")
    routes = [*_inline_routes(runtime), *((r.name, _routes_source(r), False) for r in runtime.routes.values())]
    yield from _pair(
        "RoutesConfigDump", "route_configs", "RouteConfig", "route_config", xds.ROUTE, routes, versions, ""
    )


def _pair(
    dump: str,
    plural: str,
    kind: str,
    field: str,
    type_url: str,
    resources: list[tuple[str, bytes, bool]],
    versions: Versions,
    active: str,
) -> Iterator[Section]:
    """The static and the dynamic half of a dump."""
    static = [Entry(name, source, "") for name, source, is_static in resources if is_static]
    yield Section(dump, f"static_{plural}", f"{dump}.Static{kind}", field, type_url, static)
    dynamic = [Entry(name, source, versions(type_url, name)) for name, source, is_static in resources if not is_static]
    yield Section(dump, f"dynamic{active}_{plural}", f"{dump}.Dynamic{kind}", field, type_url, dynamic)


def _inline_routes(runtime: RuntimeView) -> Iterator[tuple[str, bytes, bool]]:
    for listener in runtime.listeners.values():
        config = listener.config
        for chain in (*config.chains, *([config.default_chain] if config.default_chain else ())):
            if isinstance(chain.network, model.Hcm) and chain.network.routes is not None:
                yield chain.network.routes.name, chain.network.routes.source, True


def _routes_source(routes: model.RouteConfig) -> bytes:
    """With the virtual hosts that are resources of their own."""
    hosts = [host.source for host in routes.virtual_hosts if host.source] if routes.vhds else []
    return xds.with_virtual_hosts(routes.source, hosts) if hosts else routes.source


def _endpoints(runtime: RuntimeView, static: set[str], versions: Versions) -> Iterator[Section]:
    """Endpoints as they are in use, health included."""
    found = [
        (c.config.eds_name or c.name, _assignment(c.config, c.hosts), c.name in static)
        for c in runtime.clusters.values()
    ]
    yield from _pair(
        "EndpointsConfigDump",
        "endpoint_configs",
        "EndpointConfig",
        "endpoint_config",
        xds.ENDPOINT,
        found,
        versions,
        "",
    )


def _assignment(cluster: model.Cluster, hosts: Any) -> bytes:
    from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

    message = ClusterLoadAssignment(cluster_name=cluster.eds_name or cluster.name)
    message.policy.overprovisioning_factor.value = 140
    groups: dict[int, Any] = {}
    for host in hosts:
        locality = host.locality
        group = groups.get(id(locality))
        if group is None:
            group = groups[id(locality)] = message.endpoints.add(priority=locality.priority)
            group.locality.region = locality.region
            group.locality.zone = locality.zone
            group.locality.sub_zone = locality.sub_zone
            if locality.weight:
                group.load_balancing_weight.value = locality.weight
        entry = group.lb_endpoints.add()
        entry.health_status = (
            entry.DESCRIPTOR.fields_by_name["health_status"]
            .enum_type.values_by_name["UNHEALTHY" if host.ejected else host.endpoint.health.value]
            .number
        )
        entry.load_balancing_weight.value = host.endpoint.weight
        entry.endpoint.hostname = host.endpoint.hostname
        if host.address.is_pipe:
            entry.endpoint.address.pipe.path = host.address.host
            continue
        entry.endpoint.address.socket_address.address = host.address.host
        entry.endpoint.address.socket_address.port_value = host.address.port
    content: bytes = message.SerializeToString(deterministic=True)
    return content


def _message_class(type_url: str) -> Any:
    from google.protobuf import descriptor_pool, message_factory

    name = type_url.removeprefix(_ANY)
    import_type(name)
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def as_json(type_url: str, source: bytes) -> dict[str, Any]:
    """A serialized resource as the JSON of an Any."""
    from google.protobuf.json_format import MessageToDict

    message = _message_class(type_url).FromString(source)
    try:
        fields = MessageToDict(message, preserving_proto_field_name=True)
    except TypeError:  # an Any inside holds a type that this process has no description of
        fields = {"value": base64.b64encode(source).decode()}
    return {"@type": type_url, **fields}


async def render(runtime: RuntimeView, versions: Versions, query: Any) -> AsyncIterator[str]:
    """The dump's JSON in pieces, a resource each: resources are turned into JSON in a thread, for a large one takes
    longer than the loop can spare."""
    for name in query:
        if name not in ("resource", "mask", "name_regex", "include_eds"):
            raise QueryError(f"{name}: not implemented; resource, mask, name_regex and include_eds are")
    mask = masks.parse(query["mask"]) if "mask" in query else None
    matches = compile_filter(query["name_regex"]) if "name_regex" in query else None
    wanted = query.get("resource")
    include_eds = "include_eds" in query or wanted in ("static_endpoint_configs", "dynamic_endpoint_configs")
    parts = list(sections(runtime, versions, include_eds=include_eds))
    if wanted is not None:
        chosen = [section for section in parts if section.field == wanted]
        if not chosen:
            if wanted == "bootstrap":
                raise QueryError("bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field")
            raise QueryError(f"{wanted} not found in config dump", status=404)
        if mask is not None:  # whether it fits is known only once it was applied
            items = [text async for text in _entries(chosen[0], matches, mask, typed=True)]
            yield f'{{"configs":[{"".join(items)}]}}\n'
            return
        yield '{"configs":['
        async for text in _entries(chosen[0], matches, None, typed=True):
            yield text
        yield "]}\n"
        return
    if mask is not None:
        yield await _masked(runtime, parts, matches, mask)
        return
    yield '{"configs":['
    if matches is None:
        yield dumps(await asyncio.to_thread(_bootstrap, runtime)) + ","
    dumps_ = list(dict.fromkeys(section.dump for section in parts))
    for index, dump in enumerate(dumps_):
        yield ("," if index else "") + '{"@type":' + dumps(_PREFIX + dump)
        for section in parts:
            if section.dump == dump and section.entries:
                yield f',"{section.field}":['
                async for text in _entries(section, matches, None, typed=False):
                    yield text
                yield "]"
        yield "}"
    yield "]}\n"


def _bootstrap(runtime: RuntimeView) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict

    type_url = f"{_ANY}envoy.config.bootstrap.v3.Bootstrap"
    message = _message_class(type_url).FromString(runtime.bootstrap.source)
    return {
        "@type": f"{_PREFIX}BootstrapConfigDump",
        "bootstrap": MessageToDict(message, preserving_proto_field_name=True),
    }


async def _masked(
    runtime: RuntimeView, parts: list[Section], matches: Callable[[str], object] | None, mask: masks.Tree
) -> str:
    """The dumps of which something is wanted, as one piece: whole repeated fields, or parts of the bootstrap."""
    found = [masks.masked(await asyncio.to_thread(_bootstrap, runtime), mask)]
    for dump in dict.fromkeys(section.dump for section in parts):
        content: dict[str, Any] = {"@type": _PREFIX + dump}
        for section in parts:
            if section.dump == dump and mask.get(section.field) == {}:
                items = [text async for text in _entries(section, matches, None, typed=False)]
                content[section.field] = loads(f"[{''.join(items)}]")
        found.append(content if len(content) > 1 else {})
    return dumps({"configs": [each for each in found if each]}) + "\n"


async def _entries(
    section: Section, matches: Callable[[str], object] | None, mask: masks.Tree | None, *, typed: bool
) -> AsyncIterator[str]:
    first = True
    for entry in section.entries:
        if matches is not None and not matches(entry.name):
            continue
        item: dict[str, Any] = {"@type": _PREFIX + section.item_type} if typed else {}
        inner: dict[str, Any] = {"version_info": entry.version} if entry.version else {}
        inner[section.resource_field] = await asyncio.to_thread(as_json, section.type_url, entry.source)
        if section.field == "dynamic_listeners":
            item |= {"name": entry.name, "active_state": inner}
        else:
            item |= inner
        if mask is not None and not (item := masks.masked(item, mask)):
            raise QueryError(f"the mask names no field that {section.item_type} has here")
        yield ("" if first else ",") + dumps(item)
        first = False
