"""What the patches of an EnvoyFilter have in common. What is changed is a copy: messages are shared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mesh.istio.envoy_filter import ConfigPatch, Patch, PatchContext, PatchOperation
from mesh.istio.envoy_value import merge, message_class
from mesh.node import ROUTER, Node
from mesh.xds import any_of

Named = Mapping[str, Any]
_AT_THE_END = (PatchOperation.ADD, PatchOperation.INSERT_AFTER)


def outbound(node: Node) -> PatchContext:
    return PatchContext.GATEWAY if node.kind == ROUTER else PatchContext.SIDECAR_OUTBOUND


def in_context(patch: ConfigPatch, context: PatchContext) -> bool:
    return patch.match.context in (PatchContext.ANY, context)


def copied(message: Any) -> Any:
    made = type(message)()
    made.CopyFrom(message)
    return made


def rearranged(items: list[Any], patch: ConfigPatch, wanted: str, message: Callable[[], Any]) -> list[Any]:
    """A list of things with names after a patch; the same where it has none of the name `wanted`. Without a name, what is
    added goes to either end, and all are meant otherwise."""
    operation, value = patch.patch.operation, patch.patch.value
    position = next((n for n, each in enumerate(items) if each.name == wanted), -1) if wanted else 0
    if position < 0:
        return items
    if operation is PatchOperation.REMOVE:
        return [each for each in items if wanted not in ("", each.name)]
    if patch.patch.merges:
        for each in items:
            if wanted in ("", each.name):
                merge_filter(each, patch.patch)
        return items
    added = message()
    merge(added, value)
    if operation is PatchOperation.REPLACE:
        return [added if each.name == wanted else each for each in items]
    if operation is PatchOperation.INSERT_FIRST or not wanted:
        return [*items, added] if operation in _AT_THE_END else [added, *items]
    place = len(items) if operation is PatchOperation.ADD else position + (operation is PatchOperation.INSERT_AFTER)
    return [*items[:place], added, *items[place:]]


def merge_filter(target: Any, patch: Patch) -> None:
    """Merges a filter, its configuration included; one that is configured by another type is left alone, as by Istio."""
    value, lists = patch.value, patch.operation is PatchOperation.MERGE_AND_REPLACE_LIST
    config = value.get("typed_config", value.get("typedConfig"))
    kind = str(config.get("@type", "")).rpartition("/")[2] if isinstance(config, Mapping) else ""
    own = (
        target.typed_config.type_url.rpartition("/")[2] if target.DESCRIPTOR.fields_by_name.get("typed_config") else ""
    )
    if kind and own and kind != own:
        return
    if not isinstance(config, Mapping) or not own:
        patch.merge_into(target)
        return
    message = message_class(own)()
    target.typed_config.Unpack(message)
    merge(message, {key: each for key, each in config.items() if key != "@type"}, replace_lists=lists)
    merge(
        target,
        {key: each for key, each in value.items() if key not in ("typed_config", "typedConfig")},
        replace_lists=lists,
    )
    target.typed_config.CopyFrom(any_of(message))
