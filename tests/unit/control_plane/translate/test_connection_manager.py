from typing import Any

from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from control_plane.translate.connection_manager import by_config, by_rds, connection_manager
from control_plane.translate.indexes import index_of
from control_plane.world import MeshConfig
from tests.simulation.worlds import sidecar, world


def unpacked(network_filter: Any) -> Any:
    manager = HttpConnectionManager()
    assert network_filter.typed_config.Unpack(manager)
    return manager


def made(mesh: MeshConfig = MeshConfig()) -> Any:  # noqa: B008 - frozen
    return connection_manager(index_of(world(mesh=mesh)), mesh, sidecar(), "prefix")


def test_istios_settings() -> None:
    manager = made()
    assert manager.stat_prefix == "prefix"
    assert manager.HasField("use_remote_address") and not manager.use_remote_address.value
    assert manager.normalize_path.value and manager.generate_request_id.value
    assert manager.HasField("stream_idle_timeout") and manager.stream_idle_timeout.seconds == 0
    assert [upgrade.upgrade_type for upgrade in manager.upgrade_configs] == ["websocket"]
    assert manager.http_protocol_options.accept_http_10
    assert len(manager.access_log) == 1 and manager.HasField("tracing")


def test_telemetry_can_be_switched_off() -> None:
    manager = made(MeshConfig(access_log_file="", enable_tracing=False))
    assert not manager.access_log and not manager.HasField("tracing")


def test_routes_by_name_can_have_policies_and_faults() -> None:
    manager = unpacked(by_rds(made(), "80"))
    assert manager.rds.route_config_name == "80"
    names = [each.name.removeprefix("envoy.filters.http.") for each in manager.http_filters]
    assert names == ["cors", "fault", "router"]


def test_own_routes() -> None:
    manager = unpacked(by_config(made(), RouteConfiguration(name="x")))
    assert manager.route_config.name == "x"
    assert [each.name for each in manager.http_filters] == ["envoy.filters.http.router"]
