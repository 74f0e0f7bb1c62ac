"""The obvious reverse proxy in asyncio: aiohttp's server, and its client in a handler.

`python aiohttp_proxy.py LISTENER UPSTREAM [LOG]`: with a log it does the work of the case `mesh` (a table of hosts and
prefixes, a request id, header operations, a JSON line a request), else of `plain`. Runs in an environment of its own.
"""

from __future__ import annotations

import json
import sys
import time
import uuid

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict

HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "te", "upgrade", "proxy-connection")
PREFIXES = (*(f"/api/v{version}/" for version in range(1, 9)), "/")
ROUTES = {f"svc-{number}.default.svc.cluster.local": PREFIXES for number in range(200)}


class Proxy:
    def __init__(self, upstream: int, log_path: str) -> None:
        self.upstream = f"http://127.0.0.1:{upstream}"
        self.log = open(log_path, "a", buffering=1 << 16) if log_path else None  # noqa: SIM115  # as long as we run

    async def client(self, app: web.Application):
        connector = TCPConnector(limit=0, keepalive_timeout=60)
        async with ClientSession(
            connector=connector, auto_decompress=False, timeout=ClientTimeout(total=15), raise_for_status=False
        ) as self.session:
            yield

    async def handle(self, request: web.Request) -> web.StreamResponse:
        began = time.time()
        headers = CIMultiDict(request.headers)
        for name in HOP_BY_HOP:
            headers.popall(name, None)
        if self.log is not None:
            self.prepare(request, headers)
        body = request.content if request.body_exists else None
        async with self.session.request(
            request.method, self.upstream + request.raw_path, headers=headers, data=body, allow_redirects=False
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers=answer.headers)
            for name in HOP_BY_HOP:
                response.headers.popall(name, None)
            if self.log is not None:
                response.headers["x-served-by"] = "mesh"
                response.headers["x-request-id"] = headers["x-request-id"]
            await response.prepare(request)
            sent = 0
            async for chunk in answer.content.iter_any():
                sent += len(chunk)
                await response.write(chunk)
            await response.write_eof()
        if self.log is not None:
            self.write(request, headers, response.status, sent, time.time() - began)
        return response

    def prepare(self, request: web.Request, headers: CIMultiDict[str]) -> None:
        host = request.host.partition(":")[0]
        next((prefix for prefix in ROUTES[host] if request.path.startswith(prefix)), None)
        headers["x-request-id"] = str(uuid.uuid4())
        headers["x-mesh-route"] = host
        headers.popall("x-internal", None)

    def write(self, request: web.Request, headers: CIMultiDict[str], status: int, sent: int, seconds: float) -> None:
        line = {
            "start_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "method": request.method,
            "path": request.raw_path,
            "protocol": "HTTP/1.1",
            "response_code": status,
            "bytes_received": request.content_length or 0,
            "bytes_sent": sent,
            "duration": round(seconds * 1000),
            "user_agent": headers.get("user-agent"),
            "request_id": headers["x-request-id"],
            "authority": request.host,
            "upstream_host": self.upstream,
            "downstream_remote_address": request.remote,
        }
        print(json.dumps(line), file=self.log)


def main() -> None:
    listener, upstream, log_path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    proxy = Proxy(upstream, log_path)
    app = web.Application(client_max_size=1 << 30)
    app.cleanup_ctx.append(proxy.client)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    web.run_app(
        app, host="127.0.0.1", port=listener, access_log=None, print=None, loop=uvloop.new_event_loop(), backlog=4096
    )


if __name__ == "__main__":
    main()
