"""What the machine is like: the one place where sockets, files and programs are asked."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

PROGRAM_SECONDS: Final = 5.0
_WORKLOAD_ADDRESS: Final = "127.0.1.1"
_CHAIN: Final = "ISTIO_"


@dataclass(frozen=True, slots=True)
class Facts:
    """`taken` are the ports that something listens on; `loopback` is why an address for a workload cannot be used, empty if
    it can; `chains` are those of interception, None where iptables cannot be asked; `docker` is "ok", empty where there is
    none, else what it says."""

    taken: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    loopback: str = ""
    localhost: tuple[str, ...] = ()
    descriptors: int = 0
    iptables: bool = False
    chains: tuple[str, ...] | None = None
    docker: str = ""


def gather(ports: Iterable[int]) -> Facts:
    """What is so at this moment; nothing is changed by asking."""
    return Facts(
        taken=tuple(port for port in ports if _is_taken(port)),
        environment=dict(os.environ),
        loopback=_bindable(_WORKLOAD_ADDRESS),
        localhost=_addresses("localhost"),
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        iptables=shutil.which("iptables-save") is not None,
        chains=_chains(),
        docker=_docker(),
    )


def _is_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return True
    return False


def _bindable(address: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _addresses(name: str) -> tuple[str, ...]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _chains() -> tuple[str, ...] | None:
    if shutil.which("iptables-save") is None:
        return None
    done = _run(("iptables-save", "-t", "nat"))
    if done is None or done.returncode:
        return None
    lines = done.stdout.splitlines()
    return tuple(line[1:].split()[0] for line in lines if line.startswith(f":{_CHAIN}"))


def _docker() -> str:
    if shutil.which("docker") is None:
        return ""
    done = _run(("docker", "version", "--format", "{{.Server.Version}}"))
    if done is None:
        return f"no answer within {PROGRAM_SECONDS:g} s"
    if done.returncode == 0:
        return "ok"
    return next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str] | None:
    """None where it does not end in time."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False)
    except (subprocess.TimeoutExpired, OSError):
        return None
