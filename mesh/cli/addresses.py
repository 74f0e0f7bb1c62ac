"""Which addresses and ports of this machine a proxy can have."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator

from mesh.bootstrap import Ports, is_loopback
from mesh.cli.errors import USAGE, CliError

NETWORK = "127.0.1"  # Debian's own 127.0.1.1 is among it, and free to use
SHARED_ADDRESS = "127.0.0.1"
MOST_LOCAL = 254
MOST_SHARED = 16


def can_listen(address: str, port: int) -> bool:
    """Whether `address`:`port` is ours to have and free."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def has_network(network: str = NETWORK) -> bool:
    """Whether the machine lets us use addresses of `network` (Linux: all of 127/8; macOS: not without root)."""
    return can_listen(f"{network}.1", 0)


def all_free(address: str, ports: Ports) -> bool:
    return all(can_listen(address, port) for port in ports.all)


class Reservation:
    """An address that a `mesh run` holds while it lives, so that two that start at once do not choose the same."""

    def __init__(self, address: str, ports: Ports, lock: socket.socket | None) -> None:
        self.address = address
        self.ports = ports
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()


def reserve_local(network: str = NETWORK) -> Reservation:
    """A free loopback address with Istio's ports, or 127.0.0.1 with ports of its own where there is only that."""
    for address, ports in _candidates(network):
        lock = _lock(address, ports)
        if lock is not None or sys.platform != "linux":
            if all_free(address, ports):
                return Reservation(address, ports, lock)
            if lock is not None:
                lock.close()
    raise CliError("no loopback address is free for a sidecar", *_taken_everywhere(), "name one with --address")


def _taken_everywhere() -> Iterator[str]:
    """Hints for the ports that somebody holds on all addresses at once."""
    for port in Ports().all:
        if not can_listen("0.0.0.0", port) and not can_listen(f"{NETWORK}.{MOST_LOCAL}", port):
            yield f"port {port} is taken on every address (0.0.0.0:{port}); who has it: ss -ltnp sport = :{port}"


def _candidates(network: str) -> Iterable[tuple[str, Ports]]:
    if has_network(network):
        return ((f"{network}.{host}", Ports()) for host in range(1, MOST_LOCAL + 1))
    return ((SHARED_ADDRESS, Ports.shared(index)) for index in range(1, MOST_SHARED))


def _lock(address: str, ports: Ports) -> socket.socket | None:
    """A name in Linux' abstract socket space: it vanishes with its holder, and leaves no file."""
    if sys.platform != "linux":
        return None
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0mesh-run-{address}-{ports.outbound}")
    except OSError:
        lock.close()
        return None
    return lock


def outward_address(host: str, port: int) -> str:
    """Our address on the way to `host`: what others reach us by, if they are where it is."""
    try:
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError as error:
        raise CliError(f"cannot tell this machine's address towards {host}: {error}", "name it: --address") from error


def choose(address: str, xds_host: str) -> Reservation:
    """What `--address` says; without it a free loopback address, or our outward one when the control plane is afar."""
    if address:
        return Reservation(address, Ports(), None)
    if is_loopback(xds_host):
        return reserve_local()
    return Reservation(outward_address(xds_host, 1), Ports(), None)


def parse_host_port(text: str, default_port: int, option: str) -> tuple[str, int]:
    """`HOST:PORT`, `HOST` or `[V6]:PORT`."""
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        host, port = text, str(default_port)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise CliError(f"{option} {text}: expected HOST:PORT", code=USAGE)
    return host.strip("[]"), int(port)
