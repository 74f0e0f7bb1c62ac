"""The services of the cases: one server a version, which says who it is and what it was asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_SECONDS = 0.5
TLS_RECORD = b"\x16"


class Server(ThreadingHTTPServer):
    """Remembers whom it has seen mirrored requests of: by the value of their `x-case`."""

    daemon_threads = True

    def __init__(self, address: str, version: str) -> None:
        super().__init__((address, 0), Handler)
        self.version = version
        self.mirrored: set[str] = set()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def handle(self) -> None:
        """A TLS hello is answered with the version."""
        first = self.connection.recv(1, socket.MSG_PEEK)
        if first == TLS_RECORD:
            self.connection.recv(4096)
            self.connection.sendall(self.server.version.encode())
        else:
            super().handle()

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.rfile.read(length)
        host = self.headers.get("host", "")
        if "-shadow" in host:
            self.server.mirrored.add(self.headers.get("x-case", ""))
        if self.path.startswith("/slow"):
            time.sleep(SLOW_SECONDS)
        seen: dict[str, str] = {"path": self.path, "method": self.command}
        for name, value in self.headers.items():
            key = name.lower()
            seen[key] = f"{seen[key]},{value}" if key in seen else value
        body = json.dumps({"version": self.server.version, "seen": seen}).encode()
        self.send_response(int(self.headers.get("x-answer") or 200))
        self.send_header("x-version", self.server.version)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = _answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def servers(addresses: Mapping[str, str]) -> Iterator[dict[str, Server]]:
    """Running servers, by version."""
    with ExitStack() as stack:
        found = {}
        for version, address in addresses.items():
            server = Server(address, version)
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            found[version] = server
        yield found
