"""Istio's own boards on our mesh: every question has its answer, but for those that are listed with a reason."""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.ports import free_port
from tests.harness.process import Process, wait_until
from tests.integration.boards.conftest import LATER, Watched
from tests.integration.boards.istio_questions import NOT_HERE, questions, reason
from tests.integration.boards.queries import answered
from tests.integration.demo.stack import MESH

ECHO = """
import socketserver, sys
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""
RULES = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: db}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: tcp, protocol: TCP}}
    hosts: ["*"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: db}}
spec:
  hosts: ["*"]
  gateways: [db]
  tcp:
  - route: [{{destination: {{host: db, port: {{number: 5432}}}}}}]
"""
ANSWER_SECONDS = 90.0


@pytest.fixture(scope="module")
def tcp(watched: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """A service that speaks TCP, and the gateway's address in front of it."""
    demo, port, app = watched.demo, free_port(watched.demo.address), free_port()
    words = ["run", "--service", "db", "--version", "v1", "--port", f"5432:{app}/tcp", "--xds", f"{demo.address}:15010"]
    words += ["--address", f"{demo.network}.{LATER}", "--", sys.executable, "-c", ECHO, str(app)]
    folder = tmp_path_factory.mktemp("db")
    with Process([*MESH, *words], folder / "db.txt", {"XDG_STATE_HOME": str(folder)}):
        wait_until(lambda: any(w["service"] == "db" for w in demo.plane.workloads()), 60, "db has joined")
        demo.apply(RULES.format(port=port))
        yield demo.address, port


def talks(place: tuple[str, int]) -> bool:
    """Whether somebody answers there: not before the listener, the cluster and the endpoint are where they should be."""
    try:
        with socket.create_connection(place, timeout=10) as connection:
            connection.sendall(b"hello")
            return connection.recv(5) == b"hello"
    except OSError:
        return False


@pytest.mark.complaint(17)
def test_istios_boards_have_their_answers(watched: Watched, tcp: tuple[str, int], tmp_path: Path) -> None:
    asked = dict(questions())
    answerable = {title: query for title, query in asked.items() if not reason(query)}
    missing: dict[str, str] = {}

    def all_answered() -> bool:
        watched.disturb()
        if not talks(tcp):
            return False
        missing.clear()
        missing.update((title, q) for title, q in answerable.items() if not answered(watched.prometheus.query(q)))
        return not missing

    try:
        wait_until(all_answered, ANSWER_SECONDS, "an answer to every question")
    except AssertionError as error:
        raise AssertionError(json.dumps(missing, indent=2)) from error
    without = Counter(why for query in asked.values() if (why := reason(query)))
    assert set(without) == set(NOT_HERE.values()), "a reason that nothing needs"
    for title, query in asked.items():
        assert not (reason(query) and answered(watched.prometheus.query(query))), f"{title} is answered by now"
