"""What the four services share: the command line, JSON replies, /health, and calls to other services.

An app gets a request, makes calls with `Caller.get_json`, and answers; `serve` runs it until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from aiohttp import web

# What ties the calls made for one request together: an app that drops these breaks the trace in two.
TRACE_HEADERS = (
    "x-request-id",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "traceparent",
    "tracestate",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "sw8",
)
# Who asks, so that routing by user works on every hop.
USER_HEADERS = ("end-user", "user-agent", "cookie", "authorization", "jwt")

MAX_CONNECTIONS = 256
CALL_TIMEOUT_SECONDS = 10.0


class UnavailableError(Exception):
    """A service that this one needs gave no usable answer; `status` is what to tell the caller."""

    def __init__(self, reason: str, status: int = 503) -> None:
        super().__init__(reason)
        self.status = status


def forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of an incoming request that go along on every call made for it."""
    return {name: headers[name] for name in TRACE_HEADERS + USER_HEADERS if name in headers}


class Caller:
    """Calls other services. `trust_env` makes `http_proxy` count: that is how the sidecar gets the calls."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            trust_env=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS),
        )

    async def get_json(self, url: str, headers: Mapping[str, str], seconds: float = CALL_TIMEOUT_SECONDS) -> Any:
        """The JSON at `url`; UnavailableError on any other answer, and after `seconds`."""
        try:
            async with self._session.get(
                url, headers=forwarded(headers), timeout=aiohttp.ClientTimeout(total=seconds)
            ) as reply:
                if reply.status != 200:
                    raise UnavailableError(f"{url} answered {reply.status}", reply.status)
                return await reply.json(content_type=None)
        except TimeoutError as error:
            raise UnavailableError(f"{url} gave no answer within {seconds:g} s", 504) from error
        except (aiohttp.ClientError, ValueError) as error:
            raise UnavailableError(f"{url}: {error}") from error

    async def close(self) -> None:
        await self._session.close()


CALLER = web.AppKey("caller", Caller)


async def caller_context(app: web.Application) -> AsyncIterator[None]:
    """A `cleanup_ctx` that gives the app its `Caller`."""
    app[CALLER] = Caller()
    yield
    await app[CALLER].close()


def json_reply(data: Any, status: int = 200) -> web.Response:
    return web.json_response(data, status=status)


def product_id(request: web.Request) -> int:
    """The `{id}` of the path; 400 when it is no number."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdigit()):
        raise web.HTTPBadRequest(text='{"error": "please provide numeric product ID"}', content_type="application/json")
    return int(text)


def add_health(app: web.Application, name: str) -> None:
    """GET /health, which a readiness probe asks."""

    async def health(request: web.Request) -> web.Response:
        return json_reply({"status": f"{name} is healthy"})

    app.router.add_get("/health", health)


def instance_name() -> str:
    """Which instance answers: the workload's name, as `mesh run` or a pod's environment tells it, or the host's."""
    return os.environ.get("POD_NAME") or socket.gethostname()


def parser(description: str, port: int = 9080) -> argparse.ArgumentParser:
    """The options that every service has."""
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    options.add_argument("--address", default="127.0.0.1", help="where to listen; 0.0.0.0 in a container")
    options.add_argument("--port", type=int, default=port)
    options.add_argument("--instance", default=instance_name(), help="the name that it gives for itself")
    return options


def serve(app: web.Application, args: argparse.Namespace) -> None:
    """Listens until it is told to stop."""
    web.run_app(app, host=args.address, port=args.port, print=None, access_log=None, shutdown_timeout=2.0)
