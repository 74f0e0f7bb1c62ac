"""EnvoyFilter on route configurations, those of RDS and those that inbound listeners have in themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from envoy.config.core.v3.base_pb2 import INBOUND
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost

from control_plane.translate.patch import copied, in_context, rearranged
from control_plane.translate.patch_listeners import all_chains, managers
from mesh.istio.envoy_filter import (
    ApplyTo,
    ConfigPatch,
    PatchContext,
    PatchOperation,
    RouteAction,
    RouteNameMatch,
    VirtualHostMatch,
)
from mesh.istio.envoy_value import merge
from mesh.xds import any_of

# What a route does → Envoy's field for it.
_ACTIONS: Final[Mapping[RouteAction, str]] = {
    RouteAction.ROUTE: "route",
    RouteAction.REDIRECT: "redirect",
    RouteAction.DIRECT_RESPONSE: "direct_response",
}


def inline_routes(listener: Any, patch: ConfigPatch) -> Any:
    """The listener with the routes that it has in itself patched."""
    if listener.traffic_direction != INBOUND or not in_context(patch, PatchContext.SIDECAR_INBOUND):
        return listener
    made = copied(listener)
    for holder, manager in managers(all_chains(made)):
        if manager.HasField("route_config"):
            changed = route_config(manager.route_config, patch, PatchContext.SIDECAR_INBOUND)
            manager.route_config.CopyFrom(copied(changed))
            holder.typed_config.CopyFrom(any_of(manager))
    return made


def route_config(config: Any, patch: ConfigPatch, context: PatchContext) -> Any:
    """The same where the patch has nothing to change."""
    match = patch.match.route_configuration
    if not in_context(patch, context) or (match is not None and match.name not in ("", config.name)):
        return config
    port = str(match.port_number) if match is not None and match.port_number else ""
    if port and port not in config.name.split("|") and port not in config.name.split("."):
        return config
    made = copied(config)
    if patch.apply_to is ApplyTo.ROUTE_CONFIGURATION:
        patch.patch.merge_into(made)
    else:
        _virtual_hosts(made, patch, (match.vhost if match is not None else None) or VirtualHostMatch())
    return made


def _virtual_hosts(config: Any, patch: ConfigPatch, match: VirtualHostMatch) -> None:
    operation, value = patch.patch.operation, patch.patch.value
    if patch.apply_to is ApplyTo.VIRTUAL_HOST and operation is PatchOperation.ADD:
        added = VirtualHost()
        merge(added, value)
        config.virtual_hosts.append(added)
        return
    kept = []
    for host in config.virtual_hosts:
        meant = match.name in ("", host.name) and (not match.domain_name or match.domain_name in host.domains)
        if meant and patch.apply_to is ApplyTo.HTTP_ROUTE:
            _routes(host, patch, match.route or RouteNameMatch())
        elif meant and patch.patch.merges:
            patch.patch.merge_into(host)
        elif meant:
            continue  # REMOVE
        kept.append(copied(host))
    del config.virtual_hosts[:]
    config.virtual_hosts.extend(kept)


def _routes(host: Any, patch: ConfigPatch, match: RouteNameMatch) -> None:
    operation = patch.patch.operation
    routes = [copied(route) for route in host.routes]
    if patch.patch.merges:
        for route in filter(_meant(match), routes):
            patch.patch.merge_into(route)
    elif operation is PatchOperation.REMOVE:
        routes = [route for route in routes if not _meant(match)(route)]
    else:
        routes = rearranged(routes, patch, match.name, Route)
    del host.routes[:]
    host.routes.extend(routes)


def _meant(match: RouteNameMatch) -> Any:
    """Whether a route is meant."""
    action = _ACTIONS.get(match.action)
    return lambda route: match.name in ("", route.name) and (action is None or route.HasField(action))
