"""A program with a proxy's admin port and nothing else: ready after a while, drains, dies when told to.

`fake_proxy.py -c BOOTSTRAP` reads the admin address from it. POST /die ends it with code 3; every request is appended to
the file that FAKE_PROXY_LOG names.
"""

from __future__ import annotations

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import yaml

STARTED = time.monotonic()
READY_AFTER = float(os.environ.get("FAKE_PROXY_READY_AFTER", "0"))
LOG = Path(os.environ["FAKE_PROXY_LOG"])


class Admin(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/stats"):
            return self._reply(200, os.environ.get("FAKE_PROXY_STATS", ""))
        ready = time.monotonic() - STARTED >= READY_AFTER
        return self._reply(200 if ready else 503, "LIVE\n" if ready else "PRE_INITIALIZING\n")

    def do_POST(self) -> None:
        self._note(self.path)
        if self.path == "/die":
            os._exit(3)
        self._reply(200, "OK\n")

    def _reply(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def _note(self, text: str) -> None:
        with LOG.open("a") as log:
            log.write(f"{text}\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    if os.environ.get("FAKE_PROXY_FAILS"):
        sys.exit("cannot bind: somebody else has the port")
    config = yaml.safe_load(Path(sys.argv[sys.argv.index("-c") + 1]).read_text())
    socket = config["admin"]["address"]["socket_address"]
    with LOG.open("a") as log:
        log.write(f"started {os.getpid()}\n")
    HTTPServer((socket["address"], socket["port_value"]), Admin).serve_forever()
