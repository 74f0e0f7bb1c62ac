"""overload_manager: what is compiled, and what is refused with its field."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mesh.errors import ConfigError
from sidecar.bootstrap import load
from sidecar.config.overload_model import Overload, OverloadAction, ResourceMonitor, Trigger

TYPE = "type.googleapis.com/envoy.extensions.resource_monitors."
HEAP = {
    "name": "heap",
    "typed_config": {"@type": TYPE + "fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": 1000},
}
FILE = {
    "name": "file",
    "typed_config": {"@type": TYPE + "injected_resource.v3.InjectedResourceConfig", "filename": "/x"},
}
LIMIT = {
    "name": "limit",
    "typed_config": {
        "@type": TYPE + "downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": 7,
    },
}
STOP = "envoy.overload_actions.stop_accepting_requests"


def overload(*monitors: Any, actions: Any = (), **fields: Any) -> Overload:
    config = {"resource_monitors": list(monitors), "actions": list(actions), **fields}
    found = load("", yaml.safe_dump({"overload_manager": config})).overload
    assert found is not None
    return found


def action(name: str = STOP, monitor: str = "heap", **how: Any) -> dict[str, Any]:
    return {"name": name, "triggers": [{"name": monitor, **(how or {"threshold": {"value": 0.9}})}]}


def test_what_there_is() -> None:
    scaled = action(
        "envoy.overload_actions.disable_http_keepalive",
        "file",
        scaled={"scaling_threshold": 0.5, "saturation_threshold": 0.75},
    )
    assert overload(HEAP, FILE, LIMIT, actions=[action(), scaled], refresh_interval="0.25s") == Overload(
        (ResourceMonitor("heap", max_bytes=1000), ResourceMonitor("file", path="/x")),
        (
            OverloadAction("stop_accepting_requests", (Trigger("heap", 0.9, 0.9),)),
            OverloadAction("disable_http_keepalive", (Trigger("file", 0.5, 0.75),)),
        ),
        max_connections=7,
        refresh=0.25,
    )
    assert load("", "node: {id: a}").overload is None


@pytest.mark.parametrize(
    ("monitors", "actions", "wanted"),
    [
        ([HEAP, HEAP], [], "'heap' is there twice"),
        ([HEAP], [action(), action()], r"actions\[1\].name: 'stop_accepting_requests' is there twice"),
        ([HEAP], [action("envoy.overload_actions.reduce_timeouts")], "is not an implemented action"),
        ([HEAP], [action("stop_accepting_requests")], "is not an implemented action"),
        ([HEAP], [action(monitor="limit")], "there is no resource monitor 'limit'"),
        ([LIMIT], [action(monitor="limit")], "there is no resource monitor 'limit' that has a pressure"),
        ([HEAP], [{"name": STOP}], "needs a trigger"),
        ([HEAP], [{"name": STOP, "triggers": [{"name": "heap"}]}], "needs a threshold"),
        ([HEAP], [action(scaled={"scaling_threshold": 0.9, "saturation_threshold": 0.9})], "must be greater"),
        ([{**HEAP, "typed_config": {"@type": TYPE + "fixed_heap.v3.FixedHeapConfig"}}], [], "neither how much"),
        (
            [{**LIMIT, "typed_config": {"@type": TYPE + "downstream_connections.v3.DownstreamConnectionsConfig"}}],
            [],
            "has to be more than 0",
        ),
    ],
)
def test_what_is_wrong_is_named(monitors: list[Any], actions: list[Any], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted):
        overload(*monitors, actions=actions)


def test_load_shed_points_are_refused() -> None:
    with pytest.raises(ConfigError, match="loadshed_points"):
        overload(HEAP, loadshed_points=[{"name": "envoy.load_shed_points.tcp_listener_accept"}])
