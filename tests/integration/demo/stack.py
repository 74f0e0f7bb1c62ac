"""A running `mesh demo` as the tests see it: pages, changes, processes, load."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mesh.cli.client import ControlPlane
from tests.harness.process import Process, wait_until

ROOT = Path(__file__).resolve().parents[3]
MESH = [sys.executable, "-m", "mesh.cli.main"]
START_SECONDS = 200.0
REVIEWS = re.compile(r'data-reviews-version="([\w.-]+)" data-reviews-instance="([\w.-]+)"')
PROXIES = 7  # the gateway's and six workloads'
CLIENT = "client"  # a workload that a test adds
FALLBACK = 'data-reviews-version="none"'


def demo_command(network: str, port: int, *more: str) -> list[str]:
    return [*MESH, "demo", "--no-tui", "--network", network, "--port", str(port), *more]


@dataclass(frozen=True, slots=True)
class Page:
    """`version` is that of reviews: "none" for the fallback, "" where there is no page."""

    status: int
    version: str
    instance: str
    html: str
    seconds: float


@dataclass(slots=True)
class Tally:
    """What a load saw. `failures` are statuses other than 200, errors, and pages without reviews."""

    requests: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def add(self, page: Page) -> None:
        self.requests += 1
        self.slowest = max(self.slowest, page.seconds)
        if page.status != 200:
            self.failures[f"{page.status} {page.html[:100]}"] += 1
        elif page.version == "none":
            self.failures["fallback"] += 1
        else:
            self.versions[page.version] += 1


class Demo:
    """`network` and `port` are those that it was started with."""

    def __init__(self, process: Process, network: str, port: int) -> None:
        self.process = process
        self.address = f"{network}.1"
        self.network = network
        self.port = port
        self.server = f"http://{self.address}:15080"
        self.plane = ControlPlane(self.server)
        self.first_revision = 0

    def mesh(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command line, against this demo."""
        return subprocess.run(
            [*MESH, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env={**os.environ, "MESH_SERVER": self.server},
        )

    def apply(self, text: str, name: str = "test.yaml") -> None:
        """Applies, and waits until it is in effect."""
        revision = self.plane.apply([{"name": name, "text": text}])["revision"]
        answer = self.plane.convergence(revision, 10)
        assert answer["state"] == "converged", answer

    def reset(self) -> None:
        """Back to the configuration that the demo began with."""
        revision = self.plane.rollback(self.first_revision)["revision"]
        assert self.plane.convergence(revision, 10)["state"] == "converged"

    def get(self, path: str = "/productpage", headers: Mapping[str, str] | None = None) -> Page:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=20)
        try:
            return fetch(connection, path, headers or {})
        finally:
            connection.close()

    def pid(self, *words: str) -> int:
        """The one process below the demo whose command line has all of `words`."""
        found = [pid for pid in descendants(self.process.pid) if has_words(command_line(pid), words)]
        assert len(found) == 1, f"{words}: {[command_line(pid) for pid in found]}"
        return found[0]

    def app_pid(self, service: str, version: str = "") -> int:
        return self.pid(f"examples.bookinfo.{service}", *(["--version", version] if version else []))

    def sidecar_pid(self, name: str) -> int:
        return self.pid("-c", f"{name}.yaml")

    def whole(self) -> bool:
        """Whether every proxy of the demo is connected and has what it should have, and every workload is used."""
        proxies = [proxy for proxy in self.plane.proxies() if proxy["name"] != CLIENT]
        states = {kind["state"] for proxy in proxies for kind in proxy["types"].values()}
        workloads = [workload for workload in self.plane.workloads() if workload["service"]]
        return (
            len(proxies) == PROXIES
            and all(proxy["connected"] for proxy in proxies)
            and states <= {"SYNCED", "NOT SENT"}
            and len(workloads) == PROXIES - 1
            and all(workload["healthy"] for workload in workloads)
        )


def fetch(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> Page:
    began = time.monotonic()
    try:
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        status, html = response.status, response.read().decode()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return Page(0, "", "", repr(error), time.monotonic() - began)
    seconds = time.monotonic() - began
    if found := REVIEWS.search(html):
        return Page(status, found[1], found[2], html, seconds)
    if path.endswith("/reviews") and status == 200:
        reviews = json.loads(html)
        return Page(status, reviews["version"], reviews["podname"], html, seconds)
    return Page(status, "none" if FALLBACK in html else "", "", html, seconds)


@contextmanager
def load(demo: Demo, path: str = "/productpage", workers: int = 3) -> Iterator[Tally]:
    """Asks without a pause, on a connection a worker, while the block runs."""
    tally, lock, stop = Tally(), threading.Lock(), threading.Event()

    def work() -> None:
        connection = http.client.HTTPConnection(demo.address, demo.port, timeout=20)
        while not stop.is_set():
            page = fetch(connection, path, {})
            with lock:
                tally.add(page)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def more_requests(tally: Tally, count: int) -> None:
    """Waits until the load has had so many more answers."""
    target = tally.requests + count
    wait_until(lambda: tally.requests >= target, 60, f"{count} more requests")


def kill(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return []


def has_words(line: list[str], words: tuple[str, ...]) -> bool:
    return all(any(part == word or part.endswith(f"/{word}") for part in line) for word in words)


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in map(int, children) for each in (child, *descendants(child))]


@contextmanager
def running_demo(
    folder: Path, network: str, port: int, *more: str, mesh: Callable[..., Any] = Process
) -> Iterator[Demo]:
    environment = {"TMPDIR": str(folder)}
    with mesh(demo_command(network, port, *more), folder / "demo.txt", environment, ROOT) as process:
        process.wait_ready(lambda: "serving after" in process.log_path.read_text(), START_SECONDS)
        demo = Demo(process, network, port)
        demo.first_revision = demo.plane.history(limit=1)[0]["revision"]
        wait_until(demo.whole, 20, "every workload in use")
        yield demo


def port_of(url: str) -> int:
    return urlsplit(url).port or 80
