"""Whether a real Envoy takes what was translated: all of it in one bootstrap, `envoy --mode validate`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf.json_format import MessageToJson

from control_plane.translate import Resources
from mesh.bootstrap import MAX_REGEX_PROGRAM, REGEX_LIMIT
from mesh.xds import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.harness.envoy import envoy_binary, envoy_command

VALIDATION_SECONDS = 60


def assert_envoy_accepts(built: Resources, directory: Path) -> None:
    """Fails with Envoy's own words; skips where there is no Envoy."""
    binary = envoy_binary()
    file = directory / "bootstrap.json"
    file.write_text(MessageToJson(bootstrap(built)))
    command = envoy_command(binary, file, "--mode", "validate", "-l", "error")
    done = subprocess.run(command, capture_output=True, text=True, timeout=VALIDATION_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr


def bootstrap(built: Resources) -> Any:
    """Everything is static: what comes by EDS and RDS is put where it is asked for, the rest is added apart."""
    message = Bootstrap()
    message.layered_runtime.layers.add(name="limits").static_layer.update({REGEX_LIMIT: MAX_REGEX_PROGRAM})
    static = message.static_resources
    used: set[str] = set()
    for cluster in built[CLUSTER].values():
        static.clusters.append(_with_endpoints(cluster, built))
    for listener in built[LISTENER].values():
        if not listener.HasField("api_listener"):
            static.listeners.append(_with_routes(listener, built, used))
    rest = [config for name, config in built[ROUTE].items() if name not in used]
    for number, config in enumerate(rest):
        _add_listener(static.listeners, config, number)
    return message


def _with_endpoints(cluster: Any, built: Resources) -> Any:
    static = Cluster()
    static.CopyFrom(cluster)
    if cluster.type == Cluster.EDS:
        static.type = Cluster.STATIC
        static.ClearField("eds_cluster_config")
        static.load_assignment.CopyFrom(built[ENDPOINT][cluster.eds_cluster_config.service_name or cluster.name])
    return static


def _with_routes(listener: Any, built: Resources, used: set[str]) -> Any:
    static = type(listener)()
    static.CopyFrom(listener)
    for chain in (*static.filter_chains, static.default_filter_chain):
        for network_filter in chain.filters:
            manager = HttpConnectionManager()
            if network_filter.typed_config.Unpack(manager) and manager.HasField("rds"):
                used.add(manager.rds.route_config_name)
                manager.route_config.CopyFrom(built[ROUTE][manager.rds.route_config_name])
                network_filter.typed_config.Pack(manager)
    return static


def _add_listener(listeners: Any, config: Any, number: int) -> None:
    """A listener that does nothing but hold routes that nobody asks for here (gRPC clients do)."""
    manager = HttpConnectionManager(stat_prefix=f"rest{number}", route_config=config)
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    fault = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
    cors = "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"
    manager.http_filters.add(name="envoy.filters.http.cors").typed_config.type_url = cors
    manager.http_filters.add(name="envoy.filters.http.fault").typed_config.type_url = fault
    manager.http_filters.add(name="envoy.filters.http.router").typed_config.type_url = router
    listener = listeners.add(name=f"rest{number}")
    listener.address.socket_address.address = "127.0.0.1"
    listener.address.socket_address.port_value = 1 + number
    listener.bind_to_port.value = False
    network_filter = listener.filter_chains.add().filters.add(name="envoy.filters.network.http_connection_manager")
    network_filter.typed_config.Pack(manager)
