"""`mesh iptables --apply` in two network namespaces of our own, joined by a cable: who is redirected, and who is not.

`inside` is a pod: rules, a listener on 15001 and one on 15006 that tell where a connection wanted to go. `outside` is the
rest of the world, 10.77.0.2, with a listener on 80.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.namespaces import NOBODY, PROXY, Namespace, Pair, as_user, pair_of_namespaces, unavailable
from tests.harness.process import Process

MESH = [sys.executable, "-m", "mesh.cli.main", "iptables"]

# Answers every connection with its port and SO_ORIGINAL_DST.
LISTENER = """
import socket, struct, sys
from concurrent.futures import ThreadPoolExecutor

def serve(port):
    with socket.create_server(("0.0.0.0", port)) as server:
        print("listening", flush=True)
        while True:
            connection = server.accept()[0]
            with connection:
                try:
                    raw = connection.getsockopt(socket.SOL_IP, 80, 16)
                    wanted = socket.inet_ntoa(raw[4:8]) + ":" + str(struct.unpack_from(">H", raw, 2)[0])
                except OSError:
                    wanted = "direct"
                connection.sendall(f"{port} {wanted}".encode())

ports = [int(port) for port in sys.argv[1:]]
with ThreadPoolExecutor(len(ports)) as pool:
    list(pool.map(serve, ports))
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3) as connection:
    print(connection.recv(100).decode())
"""


@pytest.fixture(scope="module", autouse=True)
def _possible() -> None:
    if reason := unavailable():
        pytest.skip(f"no namespaces with iptables here: {reason}")


def connect(namespace: Namespace, address: str, port: int, uid: int = NOBODY) -> str:
    """What the listener says whom we reach."""
    return namespace.run(*as_user(uid), sys.executable, "-c", CLIENT, address, str(port)).strip()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("namespaces")
    with pair_of_namespaces(folder) as pair:
        listeners = {
            "listen-in": pair.inside.command(sys.executable, "-c", LISTENER, "15001", "15006", "9080", "15021"),
            "listen-out": pair.outside.command(sys.executable, "-c", LISTENER, "80", "5432"),
        }
        with (
            Process(listeners["listen-in"], folder / "listen-in") as one,
            Process(listeners["listen-out"], folder / "listen-out") as other,
        ):
            one.wait_ready(lambda: one.log().count("listening") == 4)
            other.wait_ready(lambda: other.log().count("listening") == 2)
            yield pair


@pytest.fixture
def captured(pair: Pair) -> Iterator[Pair]:
    pair.inside.run(*MESH, "--apply", "--exclude-outbound-ports", "5432")
    yield pair
    pair.inside.run(*MESH, "--clean", "--apply")


def test_outbound_goes_to_the_proxy_which_learns_where_it_was_to_go(captured: Pair) -> None:
    assert connect(captured.inside, "10.77.0.2", 80) == "15001 10.77.0.2:80"


def test_the_proxy_itself_gets_out(captured: Pair) -> None:
    assert connect(captured.inside, "10.77.0.2", 80, uid=PROXY).startswith("80 ")


def test_an_excluded_port_is_direct(captured: Pair) -> None:
    assert connect(captured.inside, "10.77.0.2", 5432).startswith("5432 ")


def test_loopback_is_direct(captured: Pair) -> None:
    assert connect(captured.inside, "127.0.0.1", 9080).startswith("9080 ")


def test_inbound_goes_to_the_proxy_except_its_own_doors(captured: Pair) -> None:
    assert connect(captured.outside, "10.77.0.1", 9080) == "15006 10.77.0.1:9080"
    assert connect(captured.outside, "10.77.0.1", 15021).startswith("15021 ")


def test_twice_is_as_once_and_clean_leaves_what_others_had(pair: Pair) -> None:
    own = ["-t", "nat", "-A", "OUTPUT", "-d", "10.88.0.1/32", "-p", "tcp", "-j", "REDIRECT", "--to-ports", "7"]
    pair.inside.run("iptables", *own)
    before = pair.inside.rules()
    pair.inside.run(*MESH, "--apply")
    once = pair.inside.rules()
    pair.inside.run(*MESH, "--apply")
    assert pair.inside.rules() == once
    assert len(once) > len(before)
    for _ in range(2):
        pair.inside.run(*MESH, "--clean", "--apply")
        assert pair.inside.rules() == before
    pair.inside.run("iptables", "-t", "nat", "-D", *own[3:])


def test_the_printed_script_does_the_same(pair: Pair, tmp_path: Path) -> None:
    script = tmp_path / "rules.sh"
    script.write_text(pair.inside.run(*MESH))
    pair.inside.run("sh", "-e", str(script))
    printed = pair.inside.rules()
    pair.inside.run(*MESH, "--apply")
    assert pair.inside.rules() == printed
    script.write_text(pair.inside.run(*MESH, "--clean"))
    pair.inside.run("sh", "-e", str(script))
    assert not any("ISTIO" in rule for rule in pair.inside.rules())
