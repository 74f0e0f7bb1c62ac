"""`mesh-sidecar`: its stations, in order.

flags → bootstrap → runtime (clusters, listeners) → static resources → admin → ADS → serve → drain.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

import uvloop

from mesh.errors import ConfigError
from mesh.node import Locality, Node
from sidecar import bootstrap as bootstraps
from sidecar import settings as flags
from sidecar.config.model import Bootstrap
from sidecar.runtime import Runtime
from sidecar.settings import Settings

log = logging.getLogger("sidecar")


def main() -> None:
    """The console script."""
    settings = flags.parse()
    if settings.validate:
        sys.exit(bootstraps.validate(settings.config_path, settings.config_yaml))
    logging.basicConfig(level=settings.log_level, format=settings.log_format, datefmt="%Y-%m-%d %H:%M:%S")
    try:
        bootstrap = bootstraps.load(
            settings.config_path,
            settings.config_yaml,
            node_id=settings.service_node,
            node_cluster=settings.service_cluster,
        )
    except ConfigError as error:
        sys.exit(f"{error}")
    sys.exit(uvloop.run(serve(bootstrap, settings)))


async def serve(bootstrap: Bootstrap, settings: Settings) -> int:
    """Runs until it is told to end; the exit code."""
    runtime = Runtime(bootstrap, node_of(bootstrap), drain_seconds=settings.drain_time)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.quit)
    loop.add_signal_handler(signal.SIGUSR1, runtime.telemetry.sinks.reopen)
    try:
        runtime.apply_static()
    except ConfigError as error:
        log.critical("%s", error)
        return 1
    if bootstrap.ads is None:
        runtime.initialized()
    await runtime.ended.wait()
    await runtime.close()
    return 0


def node_of(bootstrap: Bootstrap) -> Node:
    """The identity that the bootstrap gives this process."""
    node = bootstrap.node
    where = node.get("locality", {})
    locality = Locality(where.get("region", ""), where.get("zone", ""), where.get("sub_zone", ""))
    return Node.from_xds(str(node.get("id", "")), node.get("metadata", {}), locality)


def write_admin_address(path: str, address: str) -> None:
    """`--admin-address-path`: where the admin really listens, for whoever gave it port 0."""
    Path(path).write_text(address, encoding="utf-8")
