"""A gRPC shop: `python shop.py serve` has the prices; `python shop.py web` shows them over HTTP. Needs grpcio."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc

METHOD = "/shop.Prices/Get"


def serve() -> None:
    server = grpc.server(ThreadPoolExecutor(4))
    price = grpc.unary_unary_rpc_method_handler(lambda name, _: f"{len(name)}.00".encode())
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.Prices", {"Get": price}),))
    server.add_insecure_port("0.0.0.0:50051")
    server.start()
    server.wait_for_termination()


class Web(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            price = channel.unary_unary(METHOD)(b"teapot", timeout=5).decode()
        except grpc.RpcError as error:
            price = str(error.code())
        data = json.dumps({"service": "web", "price": price}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    channel = grpc.insecure_channel(os.environ["PRICES"])
    ThreadingHTTPServer(("0.0.0.0", 8080), Web).serve_forever()
