"""A service of the example stacks, without a mesh in mind and with nothing but Python: `python service.py ROLE …`.

http     answers / with what its calls (CALLS=http://…,…) and its stores (STORES=redis://HOST:PORT,…) said; /health
store    keeps values over TCP, a line a command: SET key value, GET key, POP key (of a queue); GREETING is said first
chat     a WebSocket that says back what it hears
worker   takes jobs from the queue of the first store, asks CALLS, keeps the answer in the store
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import socketserver
import sys
import time
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NAME = os.environ.get("NAME", socket.gethostname())
PORT = int(os.environ.get("PORT", "8000"))
CALLS = [url for url in os.environ.get("CALLS", "").split(",") if url]
STORES = [url for url in os.environ.get("STORES", "").split(",") if url]
GREETING = os.environ.get("GREETING", "")
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def ask(url: str) -> object:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.loads(answer.read())
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def command(store: str, *words: str) -> str:
    where = urlsplit(store)
    with (
        socket.create_connection((where.hostname, where.port), timeout=5) as connection,
        connection.makefile("rw") as lines,
    ):
        if where.scheme == "mysql":  # the server speaks first
            assert lines.readline().startswith("welcome")
        lines.write(" ".join(words) + "\n")
        lines.flush()
        return lines.readline().rstrip("\n")


def round_trip(store: str) -> str:
    try:
        value = str(time.time_ns())
        command(store, "SET", NAME, value)
        return "ok" if command(store, "GET", NAME) == value else "lost"
    except (OSError, AssertionError) as error:
        return f"{type(error).__name__}: {error}"


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path == "/job":
            command(STORES[0], "PUSH", "jobs", path.query)
            body: object = "queued"
        elif path.path == "/done":
            body = command(STORES[0], "GET", path.query)
        elif path.path == "/health":
            body = "ok"
        else:
            calls = {url: ask(url) for url in CALLS}
            body = {"service": NAME, "calls": calls, "stores": {url: round_trip(url) for url in STORES}}
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Chat(Http):
    def do_GET(self) -> None:
        if self.headers.get("upgrade", "").lower() != "websocket":
            return super().do_GET()
        digest = hashlib.sha1((self.headers["sec-websocket-key"] + WEBSOCKET).encode()).digest()
        self.send_response(101)
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "Upgrade")
        self.send_header("sec-websocket-accept", base64.b64encode(digest).decode())
        self.end_headers()
        while (head := self.rfile.read(2)) and head[0] & 0x0F == 1:
            mask, data = self.rfile.read(4), self.rfile.read(head[1] & 0x7F)
            text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
            self.wfile.write(bytes([0x81, len(text)]) + text)
        self.close_connection = True
        return None


class Store(socketserver.StreamRequestHandler):
    values: dict[str, str] = {}  # noqa: RUF012  (of the process)
    queues: dict[str, list[str]] = defaultdict(list)  # noqa: RUF012

    def handle(self) -> None:
        if GREETING:
            self.wfile.write(f"{GREETING}\n".encode())
        for line in self.rfile:
            words = line.decode().split()
            match words:
                case ["SET", key, value]:
                    self.values[key] = value
                    said = "OK"
                case ["GET", key]:
                    said = self.values.get(key, "")
                case ["PUSH", key, value]:
                    self.queues[key].append(value)
                    said = "OK"
                case ["POP", key]:
                    said = self.queues[key].pop(0) if self.queues[key] else ""
                case _:
                    said = "ERR"
            self.wfile.write(f"{said}\n".encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


def work() -> None:
    while True:
        try:
            if job := command(STORES[0], "POP", "jobs"):
                answers = [ask(url) for url in CALLS]
                command(STORES[0], "SET", job, "done" if all(isinstance(each, dict) for each in answers) else "failed")
        except OSError as error:
            print(error, flush=True)
        time.sleep(0.2)


if __name__ == "__main__":
    match sys.argv[1]:
        case "http":
            ThreadingHTTPServer(("0.0.0.0", PORT), Http).serve_forever()
        case "chat":
            ThreadingHTTPServer(("0.0.0.0", PORT), Chat).serve_forever()
        case "store":
            Server(("0.0.0.0", PORT), Store).serve_forever()
        case "worker":
            work()
