"""`kill -9` of one thing after the other, under load: what is left has to do, and nobody who asks notices."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mesh.cli.addresses import reserve_local
from tests.harness.ports import free_port
from tests.harness.process import Process, http_get, wait_until
from tests.integration.demo.stack import (
    CLIENT,
    MESH,
    ROOT,
    Demo,
    command_line,
    descendants,
    has_words,
    kill,
    load,
    more_requests,
)

RETRY = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: reviews}}]
    retries: {attempts: 2, retryOn: "connect-failure,reset,503"}
"""
VICTIM = "reviews-v2"
APP = "echo the app runs; exec sleep 600"
AFTER = 150  # requests, at least, after the kill


def app(demo: Demo) -> tuple[int, ...]:
    return (demo.app_pid("reviews", "v2"),)


def sidecar(demo: Demo) -> tuple[int, ...]:
    return (demo.sidecar_pid(VICTIM),)


def both(demo: Demo) -> tuple[int, ...]:
    return (*app(demo), *sidecar(demo))


@pytest.mark.parametrize("victims", [app, sidecar, both])
def test_an_instance_of_reviews_dies(demo: Demo, victims: Callable[[Demo], tuple[int, ...]]) -> None:
    demo.apply(RETRY)
    with load(demo) as tally:
        more_requests(tally, 50)
        kill(*victims(demo))
        more_requests(tally, AFTER)
        wait_until(demo.whole, 30, "it is back")
        more_requests(tally, 50)
    assert not tally.failures, tally.failures
    assert tally.versions.keys() >= {"v1", "v3"}


def test_the_control_plane_dies(demo: Demo) -> None:
    demo.apply(RETRY)
    before = demo.plane.resources()
    with load(demo) as tally:
        more_requests(tally, 50)
        old = demo.pid("mesh-control-plane")
        kill(old)
        more_requests(tally, AFTER)
        wait_until(lambda: demo.plane.ready(), 20, "the control plane is back")
        assert demo.pid("mesh-control-plane") != old
        wait_until(demo.whole, 20, "its proxies are back")
        assert demo.plane.resources() == before
        demo.apply(RETRY.replace("attempts: 2", "attempts: 3"))
        more_requests(tally, 50)
    assert not tally.failures, tally.failures


class Relay:
    """A TCP relay to an address, which can be cut: how a control plane disappears for one proxy alone."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", free_port()))
        self.address = "{}:{}".format(*self._server.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def cut(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@contextmanager
def client_workload(demo: Demo, folder: Path, xds: str, address: str) -> Iterator[Process]:
    """A workload beside the demo that serves nothing and calls others."""
    command = [
        *MESH,
        "run",
        "--name",
        CLIENT,
        "--address",
        address,
        "--xds",
        xds,
        "--proxy-log",
        "-",
        "--",
        "sh",
        "-c",
        APP,
    ]
    environment = {"XDG_STATE_HOME": str(folder / "state"), "TMPDIR": str(folder)}
    with Process(command, folder / "run.txt", environment, ROOT) as process:
        yield process


def through_proxy(address: str, url: str) -> int:
    """The status of a request that is sent to the workload's sidecar as an HTTP proxy."""
    return http_get(15001, url, address)[0]


def test_a_sidecar_without_a_control_plane_starts_from_what_it_last_had(demo: Demo, tmp_path: Path) -> None:
    reservation = reserve_local(f"{demo.network.rpartition('.')[0]}.{251 - int(demo.network.rpartition('.')[2])}")
    reservation.release()
    address = reservation.address
    relay = Relay((demo.address, 15010))
    reviews = "http://reviews:9080/reviews/0"
    with client_workload(demo, tmp_path, relay.address, address) as process:
        process.wait_ready(lambda: "the app runs" in process.log())
        assert through_proxy(address, reviews) == 200
        wait_until(lambda: list((tmp_path / "state").rglob("*.xds")), 10, "the configuration is kept")
        relay.cut()
        kill(child(process, "-c", f"{CLIENT}.yaml"))
        wait_until(lambda: "it is started again" in process.log(), 10, "the end was noticed")
        process.wait_ready(lambda: through_proxy(address, reviews) == 200)
        assert "no control plane" in process.log()


def child(process: Process, *words: str) -> int:
    (pid,) = (pid for pid in descendants(process.pid) if has_words(command_line(pid), words))
    return pid
