"""Message types by name. The xDS protobufs are some hundred modules; each is imported when somebody sends its type."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import Final

from google.protobuf import descriptor_pool

_ROOTS: Final = frozenset({"envoy", "google", "udpa", "xds"})


@functools.lru_cache(1024)  # the names come from outside
def import_type(name: str) -> bool:
    """Whether the message type exists; imports it from the xDS protobufs when that has not happened yet."""
    pool = descriptor_pool.Default()
    for attempt in (True, False):
        try:
            pool.FindMessageTypeByName(name)
        except KeyError:
            if attempt and not _import_package(name.rpartition(".")[0]):
                return False
        else:
            return True
    return False


def _import_package(name: str) -> bool:
    """Imports every generated module of one protobuf package."""
    parts = name.split(".")
    if parts[0] not in _ROOTS or not all(part.isidentifier() for part in parts):
        return False
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError:
        return False
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"{name}.{module.name}")
    return True
