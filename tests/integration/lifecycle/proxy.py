"""A proxy with a connection manager and a TCP proxy in front of one scripted upstream: ours, or the real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.ports import free_port
from tests.harness.process import Process, admin_ready, http_get
from tests.harness.sidecar import sidecar_command
from tests.oracle.bootstrap import HCM_TYPE, ROUTER, TCP_TYPE

FLAGS = ("--file-flush-interval-msec", "20", "-l", "info")
STDOUT_TYPE = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
GET = b"GET /local HTTP/1.1\r\nhost: a\r\n\r\n"

Edit = Callable[[dict[str, Any]], None]


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def access_log(path: Path) -> list[dict[str, Any]]:
    line = "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\n"
    typed = {"@type": STDOUT_TYPE, "path": str(path), "log_format": {"text_format_source": {"inline_string": line}}}
    return [{"name": "file", "typed_config": typed}]


def bootstrap(http: int, tcp: int, upstream: int, admin: int, log: Path, **hcm: Any) -> dict[str, Any]:
    manager = {
        "@type": HCM_TYPE,
        "stat_prefix": "in",
        "access_log": access_log(log),
        "http_filters": [ROUTER],
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {
            "name": "routes",
            "virtual_hosts": [
                {
                    "name": "any",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"path": "/local"},
                            "direct_response": {"status": 200, "body": {"inline_string": "hi"}},
                        },
                        {"match": {"prefix": "/"}, "route": {"cluster": "up"}},
                    ],
                }
            ],
        },
        **hcm,
    }
    tcp_proxy = {"@type": TCP_TYPE, "stat_prefix": "tcp", "cluster": "up", "access_log": access_log(log)}
    networks = (("http", http, manager, "INBOUND"), ("tcp", tcp, tcp_proxy, "OUTBOUND"))
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]
    return {
        "node": {"id": "lifecycle", "cluster": "lifecycle"},
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [
                {
                    "name": name,
                    "address": address(port),
                    "traffic_direction": direction,
                    "filter_chains": [{"filters": [{"name": name, "typed_config": config}]}],
                }
                for name, port, config, direction in networks
            ],
            "clusters": [
                {
                    "name": "up",
                    "type": "STATIC",
                    "connect_timeout": "1s",
                    "load_assignment": {"cluster_name": "up", "endpoints": endpoints},
                }
            ],
        },
    }


class Proxy:
    """The process; `http` and `tcp` are its listeners' ports."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        upstream: int,
        *flags: str,
        edit: Edit | None = None,
        descriptors: int = 0,
        **hcm: Any,
    ) -> None:
        self.http, self.tcp, self.admin = free_port(), free_port(), free_port()
        self.log = folder / "access.log"
        config = bootstrap(self.http, self.tcp, upstream, self.admin, self.log, **hcm)
        if edit is not None:
            edit(config)
        path = folder / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        command = (
            envoy_command(envoy_binary(), path, *FLAGS, *flags)
            if kind == "envoy"
            else sidecar_command(path, *FLAGS, *flags)
        )
        if descriptors:
            command = ["/bin/sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh", *command]
        self.process = Process(command, folder / f"{kind}.log")

    async def __aenter__(self) -> Proxy:
        await asyncio.to_thread(self.process.wait_ready, admin_ready(self.admin))
        return self

    async def __aexit__(self, *_error: object) -> None:
        await asyncio.to_thread(self.process.stop)

    async def get(self, path: str) -> str:
        """A page of the admin port."""
        status, text = await asyncio.to_thread(http_get, self.admin, path)
        assert status == 200, (path, status, text)
        return text

    async def post(self, path: str) -> str:
        status, text = await asyncio.to_thread(http_get, self.admin, path, method="POST")
        assert status == 200, (path, status, text)
        return text

    async def status(self, path: str, method: str = "GET") -> int:
        return (await asyncio.to_thread(http_get, self.admin, path, method=method))[0]

    async def stat(self, name: str) -> int:
        for line in (await self.get("/stats")).splitlines():
            if line.startswith(f"{name}: "):
                return int(line.rpartition(" ")[2])
        raise KeyError(name)

    async def until(self, name: str, wanted: int, seconds: float = 5.0) -> None:
        """Waits until a statistic has this value."""
        async with asyncio.timeout(seconds):
            while True:
                if await self.stat(name) == wanted:
                    return
                await asyncio.sleep(0.02)

    async def lines(self, count: int, seconds: float = 5.0) -> list[str]:
        """The access log, once it has so many lines."""
        async with asyncio.timeout(seconds):
            while True:
                found = self.log.read_text().splitlines() if self.log.exists() else []
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.02)
