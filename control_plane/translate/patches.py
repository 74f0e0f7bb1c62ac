"""EnvoyFilter: patches on the resources of one proxy. What is changed is a copy: the messages are shared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from control_plane.resource import message_of
from control_plane.translate.patch import Named, copied, in_context, outbound
from control_plane.translate.patch_listeners import patched_listeners
from control_plane.translate.patch_routes import inline_routes, route_config
from mesh.istio.envoy_filter import ApplyTo, ClusterMatch, ConfigPatch, PatchContext, PatchOperation
from mesh.istio.envoy_value import merge
from mesh.naming import ClusterName
from mesh.node import Node
from mesh.xds import CLUSTER, LISTENER, ROUTE

if TYPE_CHECKING:
    from mesh.istio.resource import Resource

_ROUTES: Final = frozenset((ApplyTo.ROUTE_CONFIGURATION, ApplyTo.VIRTUAL_HOST, ApplyTo.HTTP_ROUTE))


def patches_for(filters: Iterable[Resource], node: Node, root: str) -> tuple[ConfigPatch, ...]:
    """The patches that are for a proxy, in the order in which they are made."""
    own = [
        each
        for each in filters
        if each.key.namespace in (root, node.namespace) and each.spec.labels.items() <= node.labels.items()
    ]
    ordered = sorted(own, key=lambda each: (each.spec.priority, each.key.namespace != root))
    return tuple(patch for each in ordered for patch in each.spec.config_patches if _is_for(patch, node))


def _is_for(patch: ConfigPatch, node: Node) -> bool:
    return patch.match.proxy is None or patch.match.proxy.is_for(node.metadata)


def patched(built: Mapping[str, Named], patches: Iterable[ConfigPatch], node: Node) -> dict[str, Named]:
    """The resources after all patches."""
    made: dict[str, Named] = dict(built)
    for patch in patches:
        if patch.apply_to is ApplyTo.CLUSTER:
            made[CLUSTER] = _clusters(made[CLUSTER], patch, node)
        elif patch.apply_to in _ROUTES:
            made[ROUTE] = {name: route_config(each, patch, outbound(node)) for name, each in made[ROUTE].items()}
            made[LISTENER] = {name: inline_routes(each, patch) for name, each in made[LISTENER].items()}
        else:
            made[LISTENER] = patched_listeners(made[LISTENER], patch, node)
    return made


# ── clusters ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _clusters(named: Named, patch: ConfigPatch, node: Node) -> Named:
    operation, value = patch.patch.operation, patch.patch.value
    if operation is PatchOperation.ADD:
        if not in_context(patch, outbound(node)):
            return named
        added = Cluster()
        merge(added, value)
        return {**named, added.name: added}
    found: dict[str, Any] = {}
    for name, cluster in named.items():
        if not _cluster_matches(name, patch, node):
            found[name] = cluster
        elif patch.patch.merges:
            found[name] = copied(message_of(cluster))
            patch.patch.merge_into(found[name])
    return found


def _cluster_matches(name: str, patch: ConfigPatch, node: Node) -> bool:
    parsed = ClusterName.parse(name)
    inbound = parsed is not None and parsed.direction == "inbound"
    if not in_context(patch, PatchContext.SIDECAR_INBOUND if inbound else outbound(node)):
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
