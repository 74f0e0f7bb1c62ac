"""EnvoyFilter: patches on the resources of one proxy. What is changed is a copy: the messages are shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import INBOUND
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

from control_plane.translate.messages import HTTP_CONNECTION_MANAGER
from mesh.istio.envoy_filter import ApplyTo, ClusterMatch, ConfigPatch, ListenerMatch, PatchContext, PatchOperation
from mesh.istio.envoy_value import merge
from mesh.naming import ClusterName
from mesh.node import ROUTER, Node
from mesh.xds import CLUSTER, LISTENER, ROUTE, any_of

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

Named = Mapping[str, Any]
_ROUTES: Final = frozenset((ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE))


def patches_for(filters: Iterable[Resource], node: Node, root: str) -> tuple[ConfigPatch, ...]:
    """The patches that are for a proxy, in the order in which they are made."""
    own = [
        each
        for each in filters
        if each.key.namespace in (root, node.namespace) and each.spec.labels.items() <= node.labels.items()
    ]
    ordered = sorted(own, key=lambda each: (each.spec.priority, each.key.namespace != root))
    return tuple(patch for each in ordered for patch in each.spec.config_patches)


def patched(built: Mapping[str, Named], patches: Iterable[ConfigPatch], node: Node) -> dict[str, Named]:
    """The resources after all patches."""
    made: dict[str, Named] = dict(built)
    for patch in patches:
        if patch.apply_to is ApplyTo.CLUSTER:
            made[CLUSTER] = _clusters(made[CLUSTER], patch, node)
        elif patch.apply_to in _ROUTES:
            made[ROUTE] = {name: _route_config(each, patch, _outbound(node)) for name, each in made[ROUTE].items()}
            made[LISTENER] = {name: _inline_routes(each, patch) for name, each in made[LISTENER].items()}
        else:
            made[LISTENER] = _listeners(made[LISTENER], patch, node)
    return made


def _outbound(node: Node) -> PatchContext:
    return PatchContext.GATEWAY if node.kind == ROUTER else PatchContext.SIDECAR_OUTBOUND


def _in_context(patch: ConfigPatch, context: PatchContext) -> bool:
    return patch.match.context in (PatchContext.ANY, context)


def _copy(message: Any) -> Any:
    copied = type(message)()
    copied.CopyFrom(message)
    return copied


# ── clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _clusters(named: Named, patch: ConfigPatch, node: Node) -> Named:
    operation, value = patch.patch.operation, patch.patch.value
    if operation is PatchOperation.ADD:
        if not _in_context(patch, _outbound(node)):
            return named
        added = Cluster()
        merge(added, value)
        return {**named, added.name: added}
    found: dict[str, Any] = {}
    for name, cluster in named.items():
        if not _cluster_matches(name, patch, node):
            found[name] = cluster
        elif operation is PatchOperation.MERGE:
            found[name] = _copy(cluster)
            merge(found[name], value)
    return found


def _cluster_matches(name: str, patch: ConfigPatch, node: Node) -> bool:
    parsed = ClusterName.parse(name)
    inbound = parsed is not None and parsed.direction == "inbound"
    if not _in_context(patch, PatchContext.SIDECAR_INBOUND if inbound else _outbound(node)):
        return False
    match = patch.match.cluster or ClusterMatch()
    if match.name:
        return match.name == name
    if parsed is None:
        return not (match.port_number or match.service or match.subset)
    return (
        match.port_number in (None, parsed.port)
        and match.service in ("", parsed.host)
        and match.subset in ("", parsed.subset)
    )


# ── listeners and filters ─────────────────────────────────────────────────────────────────────────────────────────────


def _listeners(named: Named, patch: ConfigPatch, node: Node) -> Named:
    found: dict[str, Any] = {}
    for name, listener in named.items():
        if not _listener_matches(listener, patch, node):
            found[name] = listener
        elif patch.apply_to is not ApplyTo.LISTENER:
            found[name] = _copy(listener)
            _patch_filters(found[name], patch)
        elif patch.patch.operation is PatchOperation.MERGE:
            found[name] = _copy(listener)
            merge(found[name], patch.patch.value)
    return found


def _listener_matches(listener: Any, patch: ConfigPatch, node: Node) -> bool:
    inbound = listener.traffic_direction == INBOUND
    if not _in_context(patch, PatchContext.SIDECAR_INBOUND if inbound else _outbound(node)):
        return False
    match = patch.match.listener or ListenerMatch()
    port = listener.address.socket_address.port_value
    return match.name in ("", listener.name) and match.port_number in (None, port)


def _managers(listener: Any) -> Iterator[tuple[Any, Any]]:
    """Each network filter that is a connection manager, with that."""
    default = [listener.default_filter_chain] if listener.HasField("default_filter_chain") else []
    for chain in (*listener.filter_chains, *default):
        for each in chain.filters:
            manager = HttpConnectionManager()
            if each.name == HTTP_CONNECTION_MANAGER and each.typed_config.Unpack(manager):
                yield each, manager


def _patch_filters(listener: Any, patch: ConfigPatch) -> None:
    match = (patch.match.listener or ListenerMatch()).filter
    if match.name not in ("", HTTP_CONNECTION_MANAGER):
        return
    for holder, manager in _managers(listener):
        if patch.apply_to is ApplyTo.NETWORK_FILTER:
            settings = {k: v for k, v in dict(patch.patch.value.get("typed_config", {})).items() if k != "@type"}
            merge(manager, settings)
        else:
            wanted = match.sub_filter.name if match.sub_filter is not None else ""
            filters = _with_filter(list(manager.http_filters), patch, wanted)
            del manager.http_filters[:]
            manager.http_filters.extend(filters)
        holder.typed_config.CopyFrom(any_of(manager))


def _with_filter(filters: list[Any], patch: ConfigPatch, wanted: str) -> list[Any]:
    operation, value = patch.patch.operation, patch.patch.value
    position = next((n for n, each in enumerate(filters) if each.name == wanted), -1) if wanted else 0
    if position < 0:
        return filters
    if operation is PatchOperation.REMOVE:
        return [each for each in filters if each.name != wanted]
    if operation is PatchOperation.MERGE:
        merge(filters[position], value)
        return filters
    added = HttpFilter()
    merge(added, value)
    place = 0 if operation is PatchOperation.INSERT_FIRST else position + (operation is PatchOperation.INSERT_AFTER)
    return [*filters[:place], added, *filters[place:]]


# ── routes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _inline_routes(listener: Any, patch: ConfigPatch) -> Any:
    """The routes that an inbound listener has in itself."""
    if listener.traffic_direction != INBOUND or not _in_context(patch, PatchContext.SIDECAR_INBOUND):
        return listener
    copied = _copy(listener)
    for holder, manager in _managers(copied):
        if manager.HasField("route_config"):
            changed = _route_config(manager.route_config, patch, PatchContext.SIDECAR_INBOUND)
            manager.route_config.CopyFrom(_copy(changed))
            holder.typed_config.CopyFrom(any_of(manager))
    return copied


def _route_config(config: Any, patch: ConfigPatch, context: PatchContext) -> Any:
    """The same where the patch has nothing to change."""
    match = patch.match.route_configuration
    if not _in_context(patch, context) or (match is not None and match.name not in ("", config.name)):
        return config
    port = str(match.port_number) if match is not None and match.port_number else ""
    if port and port not in config.name.split("|") and port not in config.name.split("."):
        return config
    copied = _copy(config)
    if patch.apply_to is ApplyTo.ROUTE_CONFIGURATION:
        merge(copied, patch.patch.value)
        return copied
    vhost = match.vhost if match is not None else None
    _virtual_hosts(copied, patch, vhost.name if vhost is not None else "", vhost.route if vhost is not None else None)
    return copied


def _virtual_hosts(config: Any, patch: ConfigPatch, name: str, route: Any) -> None:
    operation, value = patch.patch.operation, patch.patch.value
    if patch.apply_to is ApplyTo.VIRTUAL_HOST and operation is PatchOperation.ADD:
        added = VirtualHost()
        merge(added, value)
        config.virtual_hosts.append(added)
        return
    kept = []
    for host in config.virtual_hosts:
        meant = name in ("", host.name)
        if meant and patch.apply_to is ApplyTo.HTTP_ROUTE:
            _routes(host, patch, route.name if route is not None else "")
        elif meant and operation is PatchOperation.MERGE:
            merge(host, value)
        elif meant:
            continue  # REMOVE
        kept.append(_copy(host))
    del config.virtual_hosts[:]
    config.virtual_hosts.extend(kept)


def _routes(host: Any, patch: ConfigPatch, name: str) -> None:
    operation, value = patch.patch.operation, patch.patch.value
    routes = [_copy(route) for route in host.routes]
    if operation in (PatchOperation.ADD, PatchOperation.INSERT_FIRST):
        added = Route()
        merge(added, value)
        routes = [added, *routes] if operation is PatchOperation.INSERT_FIRST else [*routes, added]
    elif operation is PatchOperation.MERGE:
        for route in routes:
            if name in ("", route.name):
                merge(route, value)
    else:
        routes = [route for route in routes if name not in ("", route.name)]
    del host.routes[:]
    host.routes.extend(routes)
