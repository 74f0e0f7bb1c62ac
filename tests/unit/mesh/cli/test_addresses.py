"""Which address a proxy gets."""

from __future__ import annotations

import socket
import sys

import pytest

from mesh.bootstrap import Ports
from mesh.cli import addresses
from mesh.cli.addresses import can_listen, choose, outward_address, reserve_local
from mesh.cli.errors import CliError


def test_can_listen() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not can_listen("127.0.0.1", port)
    assert can_listen("127.0.0.1", port)
    assert not can_listen("192.0.2.1", 0)  # not an address of any machine


@pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127/8")
def test_two_reservations_differ_until_one_is_released() -> None:
    first, second = reserve_local("127.94.1"), reserve_local("127.94.1")
    assert (first.address, second.address) == ("127.94.1.1", "127.94.1.2")
    first.release()
    third = reserve_local("127.94.1")
    assert third.address == "127.94.1.1"
    second.release()
    third.release()


def test_an_address_in_use_is_passed_over() -> None:
    with socket.socket() as taken:
        taken.bind(("127.94.2.1", Ports().inbound))
        taken.listen()
        reservation = reserve_local("127.94.2")
    assert reservation.address == "127.94.2.2"
    reservation.release()


def test_without_a_network_the_ports_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "has_network", lambda network: False)
    first, second = reserve_local(), reserve_local()
    assert first.address == second.address == "127.0.0.1"
    assert first.ports != second.ports
    first.release()
    second.release()


def test_choose() -> None:
    assert choose("10.9.8.7", "127.0.0.1").address == "10.9.8.7"
    assert outward_address("127.0.0.1", 1) == "127.0.0.1"
    with pytest.raises(CliError, match="cannot tell this machine's address"):
        choose("", "nobody.invalid")


@pytest.mark.fault(24)
@pytest.mark.skipif(sys.platform != "linux", reason="needs all of 127/8")
def test_a_port_that_is_taken_everywhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = Ports.shared(14)  # meshes of other tests have Istio's
    monkeypatch.setattr(addresses, "Ports", lambda: ports)
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", ports.prometheus))
        taken.listen()
        with pytest.raises(CliError) as caught:
            reserve_local("127.94.3")
    assert caught.value.hints[0].startswith("port 29090 is taken on every address (0.0.0.0:29090)")
