"""`mesh-sidecar`: its stations, in order.

flags → bootstrap → runtime (clusters, listeners) → static resources → admin → ADS → serve → drain.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from mesh import installation
from mesh.errors import ConfigError
from mesh.node import Locality, Node
from mesh.probe import ProbeError
from sidecar import bootstrap as bootstraps
from sidecar.admin import app_metrics, process
from sidecar.admin.server import AdminServer
from sidecar.config.model import Bootstrap
from sidecar.process import settings as flags
from sidecar.process.drain import DrainPolicy
from sidecar.process.probing import Prober
from sidecar.process.settings import Settings
from sidecar.runtime import Runtime
from sidecar.xds.client import AdsClient

if TYPE_CHECKING:
    from sidecar.workers.fleet import Fleet

log = logging.getLogger("sidecar")


def main() -> None:
    """The console script."""
    settings = flags.parse()
    if trouble := installation.problem():
        sys.exit(f"mesh-sidecar: {trouble}")
    if settings.validate:
        sys.exit(bootstraps.validate(settings.config_path, settings.config_yaml))
    start_logging(settings)
    try:
        bootstrap = bootstraps.load(
            settings.config_path,
            settings.config_yaml,
            node_id=settings.service_node,
            node_cluster=settings.service_cluster,
        )
        node_of(bootstrap)
    except (ConfigError, ProbeError) as error:
        sys.exit(f"{error}")
    sys.exit(uvloop.run(serve(bootstrap, settings)))


def start_logging(settings: Settings) -> None:
    logging.basicConfig(level=settings.log_level, format=settings.log_format, datefmt="%Y-%m-%d %H:%M:%S")


async def serve(bootstrap: Bootstrap, settings: Settings) -> int:
    """Runs until it is told to end; the exit code."""
    runtime = _runtime(bootstrap, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.terminate)
    loop.add_signal_handler(signal.SIGUSR1, runtime.reopen_logs)
    ads = None
    if bootstrap.ads is not None:
        state = flags.state_path(settings.state_dir, str(bootstrap.node["id"])) if settings.state_dir else None
        ads = AdsClient(bootstrap, runtime, runtime.tasks, state=state, stats=runtime.stats)
    versions = ads.session.version if ads is not None else _no_version
    options, app = process.options(settings), app_metrics.of(node_of(bootstrap))
    admin = AdminServer(runtime, runtime.telemetry, versions=versions, options=options, app=app)
    try:
        await _start_admin(admin, bootstrap, settings)
        if ads is not None:
            ads.start()
            if (probe := node_of(bootstrap).probe) is not None:
                prober = Prober(probe, node_of(bootstrap).app_address, ads.report)
                runtime.tasks.start(prober.run(), "probe")
        else:
            await runtime.apply_static()
            runtime.initialized()
    except (ConfigError, OSError) as error:
        log.critical("cannot start: %s", error)
        await runtime.finish(0.0)
        return 1
    log.info("serving: %d listeners, admin %s", len(runtime.listeners), bootstrap.admin or "off")
    await runtime.leaving.wait()
    if ads is not None:
        await ads.close()
    await runtime.finish(settings.termination_drain)
    await runtime.close()
    await admin.close()
    return 0


def _runtime(bootstrap: Bootstrap, settings: Settings) -> Runtime | Fleet:
    """The data plane: in this process, or in workers of it."""
    node, drains = node_of(bootstrap), drain_policy(settings)
    if settings.concurrency == 1:
        return Runtime(
            bootstrap,
            node,
            drains=drains,
            log_flush_seconds=settings.log_flush,
            log_rotation=settings.log_rotation,
        )
    from sidecar.workers.fleet import Fleet

    return Fleet(bootstrap, node, drains, settings)


def drain_policy(settings: Settings) -> DrainPolicy:
    return DrainPolicy(settings.drain_time, immediate=settings.drain_immediately)


async def _start_admin(admin: AdminServer, bootstrap: Bootstrap, settings: Settings) -> None:
    if bootstrap.admin is None:
        return
    address = await admin.start(bootstrap.admin)
    if settings.admin_address_path:
        _write(settings.admin_address_path, str(address))


def _no_version(_type_url: str, _name: str) -> str:
    """What the bootstrap brings has none."""
    return ""


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8")


def node_of(bootstrap: Bootstrap) -> Node:
    """The identity that the bootstrap gives this process."""
    node = bootstrap.node
    where = node.get("locality", {})
    locality = Locality(where.get("region", ""), where.get("zone", ""), where.get("sub_zone", ""))
    return Node.from_xds(str(node.get("id", "")), node.get("metadata", {}), locality)
