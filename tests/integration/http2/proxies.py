"""Proxies in a row: bootstraps, and processes of ours and of the real Envoy that run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.ports import free_port
from tests.harness.process import Process, admin_ready
from tests.harness.sidecar import sidecar_command

TYPE = "type.googleapis.com/"
HCM = TYPE + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
ROUTER = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": TYPE + "envoy.extensions.filters.http.router.v3.Router"},
}


def http2_options(**options: Any) -> dict[str, Any]:
    """A cluster's field that makes it speak HTTP/2."""
    typed = {"@type": TYPE + OPTIONS, "explicit_http_config": {"http2_protocol_options": options}}
    return {"typed_extension_protocol_options": {OPTIONS: typed}}


def bootstrap(
    port: int,
    upstream: int,
    admin: int,
    log: str,
    *,
    http2: bool = True,
    route: Mapping[str, Any] | None = None,
    hcm: Mapping[str, Any] | None = None,
    cluster: Mapping[str, Any] | None = None,
    filters: tuple[Mapping[str, Any], ...] = (),
    clusters: tuple[Mapping[str, Any], ...] = (),
    listener: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One listener, whose requests go to one cluster of one host."""
    line = "%REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %GRPC_STATUS%\n"
    access_log = {
        "name": "file",
        "typed_config": {
            "@type": TYPE + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": log,
            "log_format": {"text_format_source": {"inline_string": line}},
        },
    }
    manager = {
        "@type": HCM,
        "stat_prefix": "in",
        "access_log": [access_log],
        "http_filters": [*filters, ROUTER],
        "route_config": {
            "name": "all",
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s", **(route or {})}}
                    ],
                }
            ],
        },
        **(hcm or {}),
    }
    host = {
        "name": "up",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "up",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}],
        },
        **(http2_options() if http2 else {}),
        **(cluster or {}),
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [{"name": "in", "address": address(port), "filter_chains": [chain], **(listener or {})}],
            "clusters": [host, *clusters],
        },
    }


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Proxy:
    """One running proxy in front of `upstream`; `kind` is ours or envoy."""

    def __init__(self, kind: str, folder: Path, upstream: int, **options: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.admin, self.upstream = free_port(), free_port(), upstream
        self.access_log = folder / "access.log"
        config = folder / "proxy.yaml"
        made = bootstrap(self.port, upstream, self.admin, str(self.access_log), **options)
        config.write_text(yaml.safe_dump(made))
        if kind == "ours":
            command = sidecar_command(config, "--file-flush-interval-msec", "20")
        else:
            command = envoy_command(envoy_binary(), config, "--file-flush-interval-msec", "20", "-l", "warning")
        self.process = Process(command, folder / "proxy.log")
        self.process.wait_ready(admin_ready(self.admin))

    def stop(self) -> None:
        self.process.stop()
