"""An addon that has mitmproxy do the work of the case `mesh`; loaded by mitmdump, in an environment of its own."""

from __future__ import annotations

import json
import time
import uuid

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader

PREFIXES = (*(f"/api/v{version}/" for version in range(1, 9)), "/")
ROUTES = {f"svc-{number}.default.svc.cluster.local": PREFIXES for number in range(200)}


class Mesh:
    def load(self, loader: Loader) -> None:
        loader.add_option("mesh_log", str, "", "where the JSON lines go")

    def running(self) -> None:
        self.log = open(ctx.options.mesh_log, "a", buffering=1 << 16)  # noqa: SIM115  # as long as we run

    def request(self, flow: http.HTTPFlow) -> None:
        headers = flow.request.headers
        host = headers["host"].partition(":")[0]
        next((prefix for prefix in ROUTES[host] if flow.request.path.startswith(prefix)), None)
        headers["x-request-id"] = str(uuid.uuid4())
        headers["x-mesh-route"] = host
        headers.pop("x-internal", None)

    def response(self, flow: http.HTTPFlow) -> None:
        request, response = flow.request, flow.response
        response.headers["x-served-by"] = "mesh"
        response.headers["x-request-id"] = request.headers["x-request-id"]
        line = {
            "start_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(request.timestamp_start)),
            "method": request.method,
            "path": request.path,
            "protocol": request.http_version,
            "response_code": response.status_code,
            "bytes_sent": len(response.raw_content or b""),
            "duration": round((time.time() - request.timestamp_start) * 1000),
            "user_agent": request.headers.get("user-agent"),
            "request_id": request.headers["x-request-id"],
            "authority": request.headers["host"],
            "upstream_host": str(flow.server_conn.address),
            "downstream_remote_address": str(flow.client_conn.peername),
        }
        print(json.dumps(line), file=self.log)


addons = [Mesh()]
