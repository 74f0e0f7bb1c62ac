"""`mesh-control-plane`: its stations, from the top to the bottom."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from control_plane import logs
from control_plane.settings import Address, Settings, parse
from control_plane.store.workers import working
from mesh import installation
from mesh.clock import SystemClock
from mesh.errors import MeshError
from mesh.version import VERSION

if TYPE_CHECKING:
    from control_plane.console.server import HttpServer
    from mesh.node import Node

log = logging.getLogger(__name__)

STREAM_SECONDS = 0.2  # for proxies' streams to end in peace
STOP_SECONDS = 5.0


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script: ends with code 0 when it is told to stop, 1 when it cannot start."""
    settings = parse(arguments)
    if trouble := installation.problem():
        sys.exit(f"mesh-control-plane: {trouble}")
    logs.set_up(settings.log_level, settings.log_format)
    import uvloop

    try:
        uvloop.run(serve(settings))
    except MeshError as error:
        print(f"mesh-control-plane: {error}", file=sys.stderr)
        sys.exit(1)
    if working():  # the interpreter would end a thread within compiled code, which aborts the whole process (-6)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    for name, address in (("xds", settings.xds), ("http", settings.http), ("metrics", settings.metrics)):
        check_free(name, address)
    plane = ControlPlane(settings)
    try:
        await plane.start()
        print(f"serving: {plane.places()}", flush=True)
        await stop.wait()
        log.info("stopping")
    finally:
        # A second signal does not wait for anything.
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        await plane.stop()


class ControlPlane:
    """A config change goes source → store → (translate → snapshot, per proxy) → hub → server; a workload goes server →
    registry → store and on."""

    def __init__(self, settings: Settings) -> None:
        from prometheus_client import CollectorRegistry, disable_created_metrics

        from control_plane.ads.hub import PushHub
        from control_plane.ads.pace import Pace
        from control_plane.ads.server import AdsServer
        from control_plane.console.plane import Plane
        from control_plane.console.server import HttpServer, api, metrics_app
        from control_plane.experiments.controller import Experiments
        from control_plane.metrics import ControlMetrics
        from control_plane.registry.registry import Registry
        from control_plane.sources.open import open_source
        from control_plane.store.store import ConfigStore
        from control_plane.translate import Translator

        self._open = AsyncExitStack()
        clock = SystemClock()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which Istio's have not
        self._settings = settings
        self._metrics = ControlMetrics(CollectorRegistry(), VERSION)

        self._source = open_source(settings.store)
        self._registry = Registry(self._source, settings.grace, clock)
        self._hub = PushHub(Translator().build, self._registry, self._metrics, clock, Pace())
        self._store = ConfigStore(
            self._source, self._registry.workloads, self._hub.publish, self._metrics, settings.mesh, clock
        )
        self._registry.listen(self._store.workloads_changed)
        self._metrics.watch_problems(self._store.problems)
        self._metrics.watch_workloads(self._registry.workloads, clock)
        self._xds = AdsServer(self._hub, str(settings.xds), settings.local_addresses, self._member)

        self._experiments = Experiments(self._store, self._registry.workloads, clock)

        subject = Plane(
            self._store,
            self._hub,
            self._registry.workloads,
            self._metrics,
            VERSION,
            clock.wall(),
            experiments=self._experiments,
            clock=clock,
        )
        self._api = HttpServer(api(subject, settings.allowed_hosts), *settings.http)
        self._exposition = HttpServer(metrics_app(self._metrics, settings.allowed_hosts), *settings.metrics)

    async def start(self) -> None:
        """MeshError when it cannot. The first World is there before the first proxy can ask for it, and everything else
        before the API says that it is ready."""
        await self._source.open()
        self._open.push_async_callback(self._source.close)
        await self._registry.start()
        self._open.push_async_callback(self._registry.close)
        await self._store.start()
        self._open.callback(self._store.stop)
        try:
            await self._xds.start()
        except RuntimeError as error:
            raise MeshError(f"xds: cannot listen on {self._settings.xds}: {error}") from error
        self._open.push_async_callback(self._xds.stop, STREAM_SECONDS)
        await self._experiments.start()
        self._open.push_async_callback(self._experiments.close)
        await self._listen("metrics", self._exposition, self._settings.metrics)
        await self._listen("http", self._api, self._settings.http)

    async def _listen(self, name: str, server: HttpServer, address: Address) -> None:
        self._open.push_async_callback(server.stop)
        try:
            await server.start()
        except OSError as error:
            raise MeshError(_unavailable(name, address, error)) from error

    async def stop(self) -> None:
        """What was opened is closed, from the outside in: no more changes, then no more proxies (none of which counts as
        lost), then the disk. What takes too long is left."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._open.aclose()
        except TimeoutError:
            log.error("not everything has ended within %g s", STOP_SECONDS)

    def _member(self, node: Node) -> Node:
        from control_plane.registry.groups import as_member

        return as_member(node, self._store.world.resources.get("WorkloadGroup", ()))

    def places(self) -> str:
        """Where everything is served, with the ports that were found for port 0."""
        settings = self._settings
        xds, http = Address(settings.xds.host, self._xds.port), Address(settings.http.host, self._api.port)
        metrics = Address(settings.metrics.host, self._exposition.port)
        return f"xds {xds} api http://{http} metrics http://{metrics}/metrics store {self._source.url}"


def check_free(name: str, address: Address) -> None:
    """MeshError when somebody else listens there: said before anything is opened, and in words."""
    if address.port == 0:
        return
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise MeshError(_unavailable(name, address, error)) from error


def _unavailable(name: str, address: Address, error: OSError) -> str:
    flag = f"--{name}-address"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {address.port} on {address.host} is taken; is another control plane running? "
            f"End it, or choose another address with {flag}"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{address.host} is no address of this machine; see {flag}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {address.port} is not allowed to this user; choose one above 1023 with {flag}"
    return f"cannot listen on {address}: {error.strerror or error}; see {flag}"
