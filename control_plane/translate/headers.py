"""VirtualService `headers` → what a route or a weighted cluster adds, overwrites and removes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption

from mesh.istio.virtual_service import HeaderOperations, Headers

_OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_APPEND: Final = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


def apply_headers(target: Any, headers: Headers) -> str:
    """Adds the operations to a route or a weighted cluster. Returns the authority that the request is to have (what
    `set` says counts more than what `add` says), empty when it stays."""
    for direction, operations in (("request", headers.request), ("response", headers.response)):
        getattr(target, f"{direction}_headers_to_add").extend(_options(operations))
        getattr(target, f"{direction}_headers_to_remove").extend(n for n in operations.remove if not _is_authority(n))
    return headers.request.authority.get("set") or headers.request.authority.get("add", "")


def _options(operations: HeaderOperations) -> Iterator[Any]:
    yield from _values(operations.set, _OVERWRITE)
    yield from _values(operations.add, _APPEND)


def _values(values: Mapping[str, str], action: int) -> Iterator[Any]:
    for name in sorted(values):
        if not _is_authority(name):
            yield HeaderValueOption(header=HeaderValue(key=name, value=values[name]), append_action=action)


def _is_authority(name: str) -> bool:
    """The request's target is no header that could be changed: it is rewritten."""
    return name.startswith(":") or name.lower() == "host"
