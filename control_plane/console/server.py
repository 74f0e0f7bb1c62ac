"""The API's HTTP server, and the one for metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from control_plane.console import analyze, apply, breakers, experiments, proxies, resources
from control_plane.console import status as resource_status
from control_plane.console.errors import AllowedHosts, answer_errors, only_ours
from control_plane.console.plane import PLANE, Plane, plane
from control_plane.metrics import ControlMetrics

MAX_BODY: Final = 32 * 1024 * 1024  # 10,000 routes are 3 MB
BACKLOG: Final = 2**31 - 1  # connections that wait to be accepted: as many as the system allows
SHUTDOWN_SECONDS: Final = 0.5  # for answers under way; watchers and long polls have no end of their own


def api(subject: Plane, hosts: Iterable[str] = ()) -> web.Application:
    """The HTTP API on `subject`, under the names `hosts` besides its addresses."""
    app = web.Application(client_max_size=MAX_BODY, middlewares=[answer_errors, only_ours(AllowedHosts(hosts))])
    app[PLANE] = subject
    app[breakers.BOARD] = breakers.Board()
    app.add_routes(
        [
            web.get("/", index),
            web.get("/readyz", ready),
            web.get("/api/v1/status", status),
            *apply.routes(),
            *analyze.routes(),
            *resources.routes(),
            *proxies.routes(),
            *resource_status.routes(),
            *experiments.routes(),
            *breakers.routes(),
        ]
    )
    return app


def metrics_app(metrics: ControlMetrics, hosts: Iterable[str] = ()) -> web.Application:
    """`/metrics`, for Prometheus."""

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"content-type": metrics.content_type})

    app = web.Application(middlewares=[answer_errors, only_ours(AllowedHosts(hosts))])
    app.add_routes([web.get("/metrics", exposition)])
    return app


class HttpServer:
    """An application on an address; port 0 takes a free one, `port` tells which."""

    def __init__(self, app: web.Application, host: str, port: int) -> None:
        # A handler whose client is gone is cancelled: a watcher ends, and what nobody waits for is not done.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS, handler_cancellation=True)
        self._host = host
        self.port = port

    async def start(self) -> None:
        """OSError when the address is not to be had."""
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self.port, backlog=BACKLOG).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()


async def index(request: web.Request) -> web.Response:
    """What there is."""
    lines = ["mesh control plane", ""]
    for route in request.app.router.routes():
        if route.method != "HEAD" and route.resource is not None:
            text = (route.handler.__doc__ or "").strip().partition("\n\n")[0]
            words = " ".join(text.split())
            lines.append(f"{route.method:6} {route.resource.canonical}\n       {words}")
    return web.Response(text="\n".join(lines) + "\n")


async def ready(_request: web.Request) -> web.Response:
    """Whether the control plane serves; it answers nothing before it does."""
    return web.Response(text="ready\n")


async def status(request: web.Request) -> web.Response:
    """The control plane itself: its store, and what is wrong with what is stored."""
    subject = plane(request)
    problems: list[dict[str, Any]] = [
        {"file": p.file, "line": p.line, "column": p.column, "field": p.field, "message": p.message}
        for p in subject.store.problems()
    ]
    return web.json_response(
        {
            "version": subject.version,
            "started": subject.started,
            "now": subject.clock.wall(),
            "store": subject.store.source.url,
            "revision": subject.store.source.revision,
            "resources": len(subject.store.accepted.resources),
            "services": len(subject.store.world.services),
            "proxies": len(subject.hub.proxies()),
            "problems": problems,
        }
    )
