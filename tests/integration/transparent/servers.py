"""What runs in the namespaces besides the mesh. A program: `python servers.py KIND:NAME:ADDRESS:PORT …`.

http: answers with JSON about the request and the connection. greeter: speaks first ("NAME here"), then echoes.
Prints "listening" once all do. Imports nothing but the standard library: it runs as whoever it is told to.
"""

from __future__ import annotations

import http.server
import json
import socketserver
import sys
import threading


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(
            {
                "name": self.server.given_name,  # type: ignore[attr-defined]
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "local": "{}:{}".format(*self.connection.getsockname()),
                "peer": self.client_address[0],
            }
        ).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Greeter(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(f"{self.server.given_name} here\n".encode())  # type: ignore[attr-defined]
        for line in self.rfile:
            self.wfile.write(line)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


def main(specifications: list[str]) -> None:
    handlers: dict[str, type[socketserver.BaseRequestHandler]] = {"http": Http, "greeter": Greeter}
    for specification in specifications:
        kind, name, address, port = specification.split(":")
        server = Server((address, int(port)), handlers[kind])
        server.given_name = name  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever).start()
    print("listening", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
