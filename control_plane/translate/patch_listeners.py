"""EnvoyFilter on listeners, and on what is in them: filter chains, listener filters, network filters, HTTP filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from envoy.config.core.v3.base_pb2 import INBOUND
from envoy.config.listener.v3.listener_components_pb2 import Filter, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

from control_plane.translate.messages import HTTP_CONNECTION_MANAGER
from control_plane.translate.patch import Named, copied, in_context, merge_filter, outbound, rearranged
from mesh.istio.envoy_filter import ApplyTo, ChainMatch, ConfigPatch, ListenerMatch, PatchContext, PatchOperation
from mesh.istio.envoy_value import merge
from mesh.naming import INBOUND_LISTENER, OUTBOUND_LISTENER, ClusterName
from mesh.node import Node
from mesh.xds import any_of


def patched_listeners(named: Named, patch: ConfigPatch, node: Node) -> dict[str, Any]:
    """The listeners after one patch."""
    operation = patch.patch.operation
    found: dict[str, Any] = {}
    for name, listener in named.items():
        if not _listener_matches(listener, patch, node):
            found[name] = listener
        elif patch.apply_to is not ApplyTo.LISTENER:
            found[name] = copied(listener)
            _INSIDE[patch.apply_to](found[name], patch)
        elif patch.patch.merges:
            found[name] = copied(listener)
            patch.patch.merge_into(found[name])
        elif operation is not PatchOperation.REMOVE:
            found[name] = listener
    if patch.apply_to is ApplyTo.LISTENER and operation is PatchOperation.ADD:
        added = Listener()
        merge(added, patch.patch.value)
        inbound = added.traffic_direction == INBOUND
        if in_context(patch, PatchContext.SIDECAR_INBOUND if inbound else outbound(node)):
            found[added.name] = added
    return found


def _listener_matches(listener: Any, patch: ConfigPatch, node: Node) -> bool:
    inbound = listener.traffic_direction == INBOUND
    if not in_context(patch, PatchContext.SIDECAR_INBOUND if inbound else outbound(node)):
        return False
    match = patch.match.listener or ListenerMatch()
    if match.name not in ("", listener.name):
        return False
    port = listener.address.socket_address.port_value
    by_chain = patch.apply_to is not ApplyTo.LISTENER and listener.name in (INBOUND_LISTENER, OUTBOUND_LISTENER)
    return by_chain or match.port_number in (None, port)


# ── chains ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _chains(listener: Any, patch: ConfigPatch) -> Iterator[Any]:
    """The filter chains that a patch is about."""
    named = patch.match.listener or ListenerMatch()
    match = named.filter_chain or ChainMatch()
    port = named.port_number if listener.name in (INBOUND_LISTENER, OUTBOUND_LISTENER) else None
    default = [listener.default_filter_chain] if listener.HasField("default_filter_chain") else []
    return (
        chain for chain in (*listener.filter_chains, *default) if _is_of(chain, port) and _chain_matches(chain, match)
    )


def _is_of(chain: Any, port: int | None) -> bool:
    """Where connections to all ports come to one listener, the port that a patch names is that of the chain: the one that is
    called, or that the app listens at."""
    if port in (None, chain.filter_chain_match.destination_port.value):
        return True
    parsed = ClusterName.parse(chain.name.removesuffix("http"))
    return parsed is not None and parsed.port == port


def _chain_matches(chain: Any, match: ChainMatch) -> bool:
    own = chain.filter_chain_match
    protocols = {word.strip() for word in match.application_protocols.split(",") if word.strip()}
    return (
        match.name in ("", chain.name)
        and (not match.sni or match.sni in own.server_names)
        and match.transport_protocol in ("", own.transport_protocol)
        and protocols <= set(own.application_protocols)
        and match.destination_port in (None, own.destination_port.value)
    )


def _patch_chains(listener: Any, patch: ConfigPatch) -> None:
    operation, value = patch.patch.operation, patch.patch.value
    if operation is PatchOperation.ADD:
        merge(listener.filter_chains.add(), value)
        return
    meant = list(_chains(listener, patch))
    if patch.patch.merges:
        for chain in meant:
            patch.patch.merge_into(chain)
        return
    if any(chain is listener.default_filter_chain for chain in meant):
        listener.ClearField("default_filter_chain")
    kept = [copied(chain) for chain in listener.filter_chains if not any(chain is each for each in meant)]
    del listener.filter_chains[:]
    listener.filter_chains.extend(kept)


def _patch_listener_filters(listener: Any, patch: ConfigPatch) -> None:
    wanted = (patch.match.listener or ListenerMatch()).listener_filter
    _rearrange(listener.listener_filters, patch, wanted, ListenerFilter)


# ── filters ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _patch_network_filters(listener: Any, patch: ConfigPatch) -> None:
    wanted = (patch.match.listener or ListenerMatch()).filter.name
    for chain in _chains(listener, patch):
        if not patch.patch.merges:
            _rearrange(chain.filters, patch, wanted, Filter)
            continue
        for each in chain.filters:
            named = wanted or HTTP_CONNECTION_MANAGER
            if each.name == named:
                merge_filter(each, patch.patch)


def _patch_http_filters(listener: Any, patch: ConfigPatch) -> None:
    match = (patch.match.listener or ListenerMatch()).filter
    if match.name not in ("", HTTP_CONNECTION_MANAGER):
        return
    wanted = match.sub_filter.name if match.sub_filter is not None else ""
    for holder, manager in managers(_chains(listener, patch)):
        _rearrange(manager.http_filters, patch, wanted, HttpFilter)
        holder.typed_config.CopyFrom(any_of(manager))


def _rearrange(filters: Any, patch: ConfigPatch, wanted: str, message: Callable[[], Any]) -> None:
    """Changes a repeated field of filters in place."""
    changed = [copied(each) for each in rearranged(list(filters), patch, wanted, message)]
    del filters[:]
    filters.extend(changed)


def managers(chains: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Each network filter that is a connection manager, with that."""
    for chain in chains:
        for each in chain.filters:
            manager = HttpConnectionManager()
            if each.name == HTTP_CONNECTION_MANAGER and each.typed_config.Unpack(manager):
                yield each, manager


def all_chains(listener: Any) -> Iterator[Any]:
    yield from listener.filter_chains
    if listener.HasField("default_filter_chain"):
        yield listener.default_filter_chain


_INSIDE: Mapping[ApplyTo, Callable[[Any, ConfigPatch], None]] = {
    ApplyTo.FILTER_CHAIN: _patch_chains,
    ApplyTo.LISTENER_FILTER: _patch_listener_filters,
    ApplyTo.NETWORK_FILTER: _patch_network_filters,
    ApplyTo.HTTP_FILTER: _patch_http_filters,
}
