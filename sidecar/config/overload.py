"""overload_manager → Overload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoy.extensions.resource_monitors.downstream_connections.v3 import downstream_connections_pb2
from envoy.extensions.resource_monitors.fixed_heap.v3 import fixed_heap_pb2
from envoy.extensions.resource_monitors.injected_resource.v3 import injected_resource_pb2

from sidecar.config.common import typed
from sidecar.config.overload_model import Overload, OverloadAction, ResourceMonitor, Trigger
from sidecar.config.reader import Reader

_CONNECTIONS: Final = downstream_connections_pb2.DownstreamConnectionsConfig.DESCRIPTOR.full_name
_HEAP: Final = fixed_heap_pb2.FixedHeapConfig.DESCRIPTOR.full_name
_FILE: Final = injected_resource_pb2.InjectedResourceConfig.DESCRIPTOR.full_name
_MONITORS: Final[dict[str, Callable[[str, Reader], ResourceMonitor] | None]] = {
    _HEAP: lambda name, reader: ResourceMonitor(name, max_bytes=reader.number("max_heap_size_bytes")),
    _FILE: lambda name, reader: ResourceMonitor(name, path=reader.text("filename")),
    _CONNECTIONS: None,
}
_PREFIX: Final = "envoy.overload_actions."
# There is no allocator whose free memory could be given back: this one is taken, and has no effect.
SHRINK_HEAP: Final = "shrink_heap"
_ACTIONS: Final = (
    "stop_accepting_requests",
    "disable_http_keepalive",
    "stop_accepting_connections",
    "reject_incoming_connections",
    SHRINK_HEAP,
)


def overload(reader: Reader | None) -> Overload | None:
    if reader is None:
        return None
    monitors, limit = _monitors(reader.children("resource_monitors"))
    known = {monitor.name for monitor in monitors}
    actions = [_action(each, known) for each in reader.children("actions")]
    _once(reader, "actions", [action.name for action in actions])
    refresh = reader.seconds("refresh_interval", 1.0)
    return Overload(tuple(monitors), tuple(actions), limit, refresh)


def _monitors(readers: list[Reader]) -> tuple[list[ResourceMonitor], int]:
    """Those that have a pressure, and the limit of connections."""
    found: list[ResourceMonitor] = []
    limit = 0
    for each in readers:
        kind, config = typed(each, _MONITORS, "resource monitor")
        if config is None:
            continue
        make = _MONITORS[kind]
        if make is None:
            limit = config.number("max_active_downstream_connections")
            if limit <= 0:
                config.problem("has to be more than 0", "max_active_downstream_connections")
            continue
        monitor = make(str(each.message.name), config)
        if not (monitor.max_bytes or monitor.path):
            config.problem("says neither how much there is nor where to read it")
        if monitor.name in (other.name for other in found):
            each.problem(f"{monitor.name!r} is there twice", "name")
        found.append(monitor)
    return found, limit


def _action(reader: Reader, known: set[str]) -> OverloadAction:
    full = reader.text("name")
    name = full.removeprefix(_PREFIX)
    if name not in _ACTIONS or name == full:
        names = ", ".join(_PREFIX + each for each in _ACTIONS)
        reader.problem(f"{full!r} is not an implemented action; implemented: {names}", "name")
    triggers = reader.children("triggers")
    if not triggers:
        reader.problem("needs a trigger", "triggers")
    return OverloadAction(name, tuple(_trigger(each, known) for each in triggers))


def _trigger(reader: Reader, known: set[str]) -> Trigger:
    name = reader.text("name")
    if name not in known:
        reader.problem(f"there is no resource monitor {name!r} that has a pressure", "name")
    if (threshold := reader.child("threshold")) is not None:
        value = threshold.real("value")
        return Trigger(name, value, value)
    if (scaled := reader.child("scaled")) is None:
        reader.problem("needs a threshold, or to be scaled")
        return Trigger(name, 1.0, 1.0)
    begins, complete = scaled.real("scaling_threshold"), scaled.real("saturation_threshold")
    if begins >= complete:
        scaled.problem("must be greater than scaling_threshold", "saturation_threshold")
    return Trigger(name, begins, complete)


def _once(reader: Reader, field: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            reader.problem(f"{name!r} is there twice", f"{field}[{index}].name")
