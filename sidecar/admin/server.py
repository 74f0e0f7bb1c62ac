"""The admin port's HTTP: paths, methods, who may ask."""

from __future__ import annotations

import asyncio
import html
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from json import dumps
from time import monotonic
from typing import Any, Final

from aiohttp import web

from sidecar.admin import answers, app_metrics, config_dump, hosts, log_levels, process, stats_page, unsupported
from sidecar.admin.views import QueryError, RuntimeView, TelemetryView
from sidecar.config.listener_model import SYSTEM_BACKLOG
from sidecar.config.model import Address
from sidecar.telemetry.prometheus import pieces

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Command:
    """One path: what it does, for the help page, and whether it changes something (then it wants a POST)."""

    handler: Handler
    help: str
    mutates: bool = False
    parts: tuple[str, ...] = ()  # of the workers' state that it shows, where there are workers


class AdminServer:
    """Serves the admin port. `versions` tells the version of an xDS resource; `options` are the command line's;
    `app` is where the app has metrics of its own, None for nowhere."""

    def __init__(
        self,
        runtime: RuntimeView,
        telemetry: TelemetryView,
        *,
        versions: config_dump.Versions = lambda kind, name: "",
        options: dict[str, Any] | None = None,
        app: app_metrics.AppMetrics | None = None,
    ) -> None:
        self._runtime = runtime
        self._telemetry = telemetry
        self._versions = versions
        self._options = options or {}
        self._app_metrics = app
        self._runner: web.AppRunner | None = None
        self._commands = dict(sorted(self._table().items()))
        process.register(telemetry.stats, runtime)

    def _table(self) -> dict[str, Command]:
        return {
            "/": Command(self._home, "this page"),
            "/breakers": Command(
                self._breakers,
                "circuit breakers of clusters and of ejected hosts, and their changes",
                parts=("clusters", "breaker_events"),
            ),
            "/certs": Command(self._certs, "certificates in use"),
            "/clusters": Command(
                self._clusters, "clusters and their hosts (filter, format=text|json)", parts=("clusters",)
            ),
            "/config_dump": Command(
                self._config_dump,
                "configuration in effect (resource, mask, name_regex, include_eds)",
                parts=("clusters",),
            ),
            "/drain_listeners": Command(
                self._drain, "drain listeners (graceful, inboundonly, skip_exit)", mutates=True
            ),
            "/healthcheck/fail": Command(
                self._fail, "fail health checks, and let responses end their connections", mutates=True
            ),
            "/healthcheck/ok": Command(self._pass, "undo /healthcheck/fail", mutates=True),
            "/contention": Command(unsupported.contention, "contention of mutexes (there are none)"),
            **{
                path: Command(
                    unsupported.not_here, "not here: the answer says what to do", mutates=path in unsupported.PROFILERS
                )
                for path in unsupported.NOT_HERE
            },
            "/hot_restart_version": Command(unsupported.hot_restart_version, "version of hot restart: disabled"),
            "/init_dump": Command(self._init_dump, "what the start is waiting for (mask)"),
            "/runtime": Command(unsupported.runtime, "runtime values (there are none)"),
            "/runtime_modify": Command(
                unsupported.runtime_modify, "change runtime values: no admin layer", mutates=True
            ),
            "/stats/recentlookups": Command(
                unsupported.recent_lookups, "look-ups of statistics by name (there are none)"
            ),
            "/help": Command(self._help, "list of commands"),
            "/listeners": Command(self._listeners, "listeners and their addresses (format=text|json)"),
            "/logging": Command(self._logging, "show or change log levels (level, paths, NAME=LEVEL)", mutates=True),
            "/logs": Command(self._logs, "the access logs' last lines, oldest first (after)", parts=("logs",)),
            "/memory": Command(self._memory, "memory of the process", parts=("memory",)),
            "/quitquitquit": Command(self._quit, "end the process", mutates=True),
            "/ready": Command(self._ready, "LIVE with 200, or what is missing with 503"),
            "/reopen_logs": Command(self._reopen, "open access logs anew", mutates=True),
            "/reset_counters": Command(self._reset, "set counters and histograms to zero", mutates=True),
            "/server_info": Command(self._server_info, "version, state, command line, node"),
            "/stats": Command(
                self._stats,
                "statistics (filter, usedonly, type, format=text|json|prometheus)",
                parts=("stats", "metrics", "memory"),
            ),
            "/stats/prometheus": Command(
                self._prometheus,
                "metrics for Prometheus (usedonly, filter)",
                parts=("stats", "metrics", "memory"),
            ),
            "/stats/merged": Command(
                self._merged,
                "the metrics of the app and of the proxy, for Prometheus",
                parts=("stats", "metrics", "memory"),
            ),
            "/why": Command(
                self._why,
                "the last replies of the proxy's own, with their reasons, oldest first (after)",
                parts=("replies",),
            ),
            "/traces": Command(self._traces, "finished spans, newest first (limit, trace_id)", parts=("spans",)),
        }

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────────────

    def application(self) -> web.Application:
        application = web.Application(client_max_size=64 * 1024)
        application.router.add_route("*", "/{path:.*}", self._dispatch)
        application.on_response_prepare.append(answers.headers)
        return application

    async def start(self, address: Address) -> Address:
        """Listens; the address it really got."""
        self._runner = web.AppRunner(self.application(), access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, address.host, address.port, backlog=SYSTEM_BACKLOG).start()
        name = self._runner.addresses[0]
        return Address(name[0], name[1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def connections(self) -> Sequence[object]:
        """Who is connected."""
        server = self._runner.server if self._runner is not None else None
        return server.connections if server is not None else ()

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        command = self._commands.get(request.path)
        if command is None:
            return answers.text("invalid path. " + self._help_text(), status=404)
        if command.mutates and request.method != "POST":
            return answers.text(f"Method {request.method} not allowed, POST required.", status=405)
        if (reason := _distrusted(request, command)) is not None:
            return answers.text(reason, status=403)
        try:
            if command.parts:
                await self._runtime.look(command.parts)
            answer = await command.handler(request)
            if command.mutates:
                await self._runtime.look(())
            return answer
        except QueryError as error:
            return answers.text(f"{error}\n", status=error.status)

    # ── help ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _help_text(self) -> str:
        lines = ["admin commands are:\n"]
        for path, command in self._commands.items():
            lines.append(f"  {path}{' (POST)' if command.mutates else ''}: {command.help}\n")
        return "".join(lines)

    async def _help(self, _request: web.Request) -> web.StreamResponse:
        return answers.text(self._help_text())

    async def _home(self, _request: web.Request) -> web.StreamResponse:
        rows = "".join(_row(path, command) for path, command in self._commands.items())
        node = html.escape(str(self._runtime.bootstrap.node.get("id", "")))
        return web.Response(text=_PAGE.format(node=node, rows=rows), content_type="text/html", charset="utf-8")

    # ── state ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _state(self) -> str:
        if not self._runtime.ready:
            return "PRE_INITIALIZING"
        return "DRAINING" if self._runtime.health.failed else "LIVE"

    async def _ready(self, _request: web.Request) -> web.StreamResponse:
        state = self._state
        response = answers.text(f"{state}\n", status=200 if state == "LIVE" else 503)
        if not self._runtime.ready and self._runtime.ready_reason:
            response.headers["x-mesh-ready-reason"] = " ".join(self._runtime.ready_reason.split())
        return response

    async def _server_info(self, _request: web.Request) -> web.StreamResponse:
        uptime = f"{int(monotonic() - self._runtime.started)}s"
        return answers.as_json(
            {
                "version": process.version(),
                "state": self._state,
                "uptime_current_epoch": uptime,
                "uptime_all_epochs": uptime,
                "hot_restart_version": "disabled",
                "hot_restart_initializing": False,
                "command_line_options": self._options,
                "node": dict(self._runtime.bootstrap.node),
            }
        )

    async def _init_dump(self, request: web.Request) -> web.StreamResponse:
        return answers.as_json(unsupported.unready(self._runtime.ready, self._runtime.ready_reason, request.query))

    async def _memory(self, _request: web.Request) -> web.StreamResponse:
        return answers.as_json(self._runtime.memory())

    async def _certs(self, _request: web.Request) -> web.StreamResponse:
        return answers.as_json({"certificates": []})

    async def _clusters(self, request: web.Request) -> web.StreamResponse:
        query = answers.query_of(request, "filter", "format")
        matches = answers.filter_of(query.get("filter"))
        static = {cluster.name for cluster in self._runtime.bootstrap.clusters}
        clusters = [cluster for cluster in list(self._runtime.clusters.values()) if matches(cluster.name)]
        if answers.format_of(query) == "json":
            statuses = (dumps(hosts.cluster_json(cluster, cluster.name not in static)) for cluster in clusters)
            return await answers.stream(request, answers.JSON, answers.listing("cluster_statuses", statuses))
        lines = ("".join(hosts.cluster_text(cluster, cluster.name not in static)) for cluster in clusters)
        return await answers.stream(request, answers.TEXT, answers.breathing(lines))

    async def _listeners(self, request: web.Request) -> web.StreamResponse:
        query = answers.query_of(request, "format")
        listeners = list(self._runtime.listeners.items())
        if answers.format_of(query) == "json":
            statuses = (dumps(hosts.listener_json(name, listener)) for name, listener in listeners)
            return await answers.stream(request, answers.JSON, answers.listing("listener_statuses", statuses))
        return answers.text("".join(hosts.listener_text(name, listener) for name, listener in listeners))

    async def _breakers(self, request: web.Request) -> web.StreamResponse:
        query = answers.query_of(request, "filter")
        matches = answers.filter_of(query.get("filter"))
        events = [event._asdict() for event in reversed(self._telemetry.breaker_events) if matches(event.cluster)]
        return answers.as_json(
            {"breakers": hosts.breakers(list(self._runtime.clusters.values()), matches), "events": events}
        )

    async def _config_dump(self, request: web.Request) -> web.StreamResponse:
        dump = config_dump.render(self._runtime, self._versions, request.query)
        return await answers.stream(request, answers.JSON, dump)

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        lines = self._telemetry.recent_logs(answers.since_of(request))
        rows = (dumps({"at": line.at, "line": line.text}) for line in lines)
        return await answers.stream(request, answers.JSON, answers.listing("lines", rows))

    async def _why(self, request: web.Request) -> web.StreamResponse:
        since = answers.since_of(request)
        rows = (dumps(reply._asdict()) for reply in list(self._telemetry.replies) if reply.at > since)
        return await answers.stream(request, answers.JSON, answers.listing("replies", rows))

    async def _traces(self, request: web.Request) -> web.StreamResponse:
        query = answers.query_of(request, "limit", "trace_id")
        limit, trace_id = query.get("limit", "100"), query.get("trace_id")
        if not limit.isdigit():
            raise QueryError(f"limit={limit}: expected a number")
        spans = [span for span in reversed(self._telemetry.spans.recent) if trace_id in (None, span.trace_id)]
        return await answers.stream(
            request,
            answers.JSON,
            answers.listing("spans", (dumps(answers.span_fields(span)) for span in spans[: int(limit)])),
        )

    # ── statistics ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        form = request.query.get("format", "text")
        if form == "prometheus":
            return await self._prometheus(request)
        if form not in ("text", "json"):
            raise QueryError("usage: /stats?format=(json|prometheus|text)")
        selection = stats_page.Selection(request.query)
        stats = self._telemetry.stats
        if form == "json":
            return await answers.stream(request, answers.JSON, stats_page.as_json(stats, selection))
        return await answers.stream(request, answers.TEXT, stats_page.text(stats, selection))

    async def _prometheus(self, request: web.Request) -> web.StreamResponse:
        selection = stats_page.Selection(request.query)
        registry = self._telemetry.exposition(used_only=selection.used_only, matches=selection.matches)
        content_type, text = pieces(registry, request.headers.get("Accept", ""))
        return await answers.stream(request, content_type, answers.breathing(text))

    async def _merged(self, request: web.Request) -> web.StreamResponse:
        answers.query_of(request)
        own = self._telemetry.exposition(used_only=False, matches=app_metrics.is_not_the_apps)
        content_type, body = await app_metrics.merged(own, self._app_metrics, request.headers)
        return await answers.stream(request, content_type, body)

    async def _reset(self, _request: web.Request) -> web.StreamResponse:
        self._runtime.reset_counters()
        return answers.ok()

    # ── actions ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _logging(self, request: web.Request) -> web.StreamResponse:
        self._runtime.set_log_levels(request.query)
        return answers.text(
            "active loggers:\n" + "".join(f"  {name}: {level}\n" for name, level in log_levels.levels())
        )

    async def _drain(self, request: web.Request) -> web.StreamResponse:
        query = answers.query_of(request, "graceful", "inboundonly", "skip_exit")
        log.info("draining listeners, as the admin port was asked to")
        self._runtime.drain_listeners(
            graceful="graceful" in query, inbound_only="inboundonly" in query, skip_exit="skip_exit" in query
        )
        return answers.ok()

    async def _quit(self, _request: web.Request) -> web.StreamResponse:
        log.info("ending, as the admin port was asked to")
        asyncio.get_running_loop().call_soon(self._runtime.quit)
        return answers.ok()

    async def _reopen(self, _request: web.Request) -> web.StreamResponse:
        self._runtime.reopen_logs()
        return answers.ok()

    async def _fail(self, _request: web.Request) -> web.StreamResponse:
        self._runtime.fail_health_check(True)
        return answers.ok()

    async def _pass(self, _request: web.Request) -> web.StreamResponse:
        self._runtime.fail_health_check(False)
        return answers.ok()


# ── who may ask ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _distrusted(request: web.Request, command: Command) -> str | None:
    """Why a request is refused, or None.

    Scripts on a web page can reach a loopback port: by a name that they rebind to 127.0.0.1 (then Host is that name, and a
    public name has a dot), or with a cross-site POST (then Origin is another site's). Metrics and readiness, which static
    listeners pass on under any name, tell no secrets.
    """
    if not command.mutates and request.path in ("/ready", "/stats", "/stats/merged", "/stats/prometheus"):
        return None
    host = request.headers.get("Host", "")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if not _is_local_name(name):
        return f"Host {name!r} is not an address or a local name"
    origin = request.headers.get("Origin")
    if command.mutates and origin is not None and origin.partition("://")[2] != host:
        return f"Origin {origin!r} is another site"
    return None


def _is_local_name(name: str) -> bool:
    if "." not in name or name.endswith((".localhost", ".svc.cluster.local")):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


# ── the page for people ───────────────────────────────────────────────────────────────────────────────────────────────


def _row(path: str, command: Command) -> str:
    link = (
        f'<form action="{path}" method="post"><button>{path}</button></form>'
        if command.mutates
        else f'<a href="{path}">{path}</a>'
    )
    return f"<tr><td>{link}</td><td>{html.escape(command.help)}</td></tr>\n"


_PAGE: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sidecar admin</title>
<style>body {{ font-family: sans-serif; margin: 2em }} td {{ padding: 4px 12px 4px 0 }} form {{ margin: 0 }}</style>
</head><body><h1>Sidecar admin</h1><p>{node}</p><table>
{rows}</table></body></html>
"""
