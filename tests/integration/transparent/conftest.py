"""A pod with an app, a proxy and the rules; outside of it a control plane, services that have no proxy, and a client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.namespaces import INSIDE, NOBODY, OUTSIDE, PROXY, Namespace, Pair, as_user, pair_of_namespaces
from tests.harness.namespaces import unavailable as no_namespaces
from tests.harness.process import Process, wait_until

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
MESH = [sys.executable, "-m", "mesh.cli.main"]
ELSEWHERE = "10.77.0.3"  # another address of the world outside
XDS = f"{OUTSIDE}:15010"
APP_PORT, UNDECLARED_PORT = 9080, 9999
SERVERS_OUTSIDE = [
    f"http:reviews:{OUTSIDE}:8001",
    f"http:details:{OUTSIDE}:8002",
    f"greeter:database:{OUTSIDE}:5433",
    f"http:unknown:{ELSEWHERE}:7000",
    f"http:unknown:{ELSEWHERE}:80",
    f"greeter:unknown:{ELSEWHERE}:7001",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server outside, or the app, saw; `about` is empty when the answer is not theirs."""

    status: int
    text: str

    @property
    def about(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.text) if self.text.startswith("{") else {}
        return found


@dataclass(frozen=True, slots=True)
class Pod:
    """`kind` is the proxy's: "mesh-sidecar" or "envoy"."""

    kind: str
    pair: Pair
    proxy: Process

    def get(self, address: str, port: int, host: str = "", path: str = "/", *, outside: bool = False) -> Answer:
        """A request of the app's, or of a client outside."""
        said = self._client(outside, "get", address, str(port), host or f"{address}:{port}", path)
        status, _, text = said.partition("\n")
        return Answer(int(status), text.rstrip("\n"))

    def exchange(self, address: str, port: int, sent: str = "", *, outside: bool = False) -> tuple[str, str]:
        """How the connection ended, and what came on it. `sent` may have escapes: "\\r\\n"."""
        end, _, text = self._client(outside, "exchange", address, str(port), sent).partition("\n")
        return end, text

    def _client(self, outside: bool, *words: str) -> str:
        namespace = self.pair.outside if outside else self.pair.inside
        return namespace.run(*as_user(NOBODY), sys.executable, str(HERE / "client.py"), *words)

    def stat(self, name: str) -> int:
        """A counter of the proxy; 0 where it has not been counted yet."""
        lines = self.admin("/stats").splitlines()
        return next((int(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}:")), 0)

    def admin(self, path: str) -> str:
        return admin(self.pair.inside, path)


def admin(namespace: Namespace, path: str) -> str:
    """A page of the admin port: on the pod's loopback, which is not captured."""
    program = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
    return namespace.run(sys.executable, "-c", program, f"http://127.0.0.1:15000{path}")


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    if reason := no_namespaces():
        pytest.skip(f"no network namespaces with iptables here: {reason}")
    with pair_of_namespaces(tmp_path_factory.mktemp("namespaces")) as pair:
        pair.outside.run("ip", "address", "add", f"{ELSEWHERE}/24", "dev", "cable")
        pair.inside.run("ip", "route", "add", "default", "via", OUTSIDE)
        yield pair


@pytest.fixture(scope="package")
def world(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """With the control plane and the servers outside, and the app inside."""
    folder = tmp_path_factory.mktemp("world")
    addresses = [
        f"--{name}-address={OUTSIDE}:{port}" for name, port in (("xds", 15010), ("http", 15080), ("metrics", 15014))
    ]
    plane = [str(BIN / "mesh-control-plane"), f"--store=sqlite://{folder}/mesh.db", *addresses]
    servers = [sys.executable, str(HERE / "servers.py")]
    app = [f"http:app:0.0.0.0:{APP_PORT}", f"http:app:0.0.0.0:{UNDECLARED_PORT}"]
    with ExitStack() as stack:
        started = {
            "listening": [
                stack.enter_context(Process(pair.outside.command(*servers, *SERVERS_OUTSIDE), folder / "servers.txt")),
                stack.enter_context(Process(pair.inside.command(*as_user(NOBODY), *servers, *app), folder / "app.txt")),
            ],
            "serving:": [stack.enter_context(Process(pair.outside.command(*plane), folder / "plane.txt"))],
        }
        for word, processes in started.items():
            for process in processes:
                process.wait_ready(lambda process=process, word=word: word in process.log())
        apply = ["apply", "--server", f"http://{OUTSIDE}:15080", "-f", str(HERE / "config.yaml")]
        pair.outside.run(*MESH, *apply)
        yield pair


@pytest.fixture(scope="module", params=["mesh-sidecar", "envoy"])
def pod(request: pytest.FixtureRequest, world: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The proxy runs as uid 1337, from what `mesh bootstrap` prints; the rules are those that `mesh iptables` sets."""
    folder = tmp_path_factory.mktemp("pod")
    log = folder / "proxy.txt"
    log.touch()
    log.chmod(0o666)  # an Envoy opens its standard output once more, by name, for the access log
    workload = ["--service", "shop", "--version", "v1", "--port", str(APP_PORT), "--address", INSIDE]
    bootstrap = folder / "bootstrap.yaml"
    bootstrap.write_text(world.inside.run(*MESH, "bootstrap", *workload, "--interception", "redirect", "--xds", XDS))
    if request.param == "envoy":
        command = envoy_command(envoy_binary(), bootstrap)
    else:
        command = [str(BIN / "mesh-sidecar"), "-c", str(bootstrap), "--state-dir", ""]
    world.inside.run(*MESH, "iptables", "--apply")
    try:
        with Process(world.inside.command(*as_user(PROXY), *command), log) as proxy:
            proxy.wait_ready(lambda: _live(proxy, world.inside))
            pod = Pod(request.param, world, proxy)
            # The control plane sends the port that this very workload registers with its first message.
            wait_until(lambda: f"inbound|{APP_PORT}||" in pod.admin("/clusters"), 10, "its own port")
            yield pod
    finally:
        world.inside.run(*MESH, "iptables", "--clean", "--apply")


def _live(proxy: Process, namespace: Namespace) -> bool:
    try:
        return "LIVE" in admin(namespace, "/ready")
    except AssertionError:  # not there yet, or not ready
        return False
