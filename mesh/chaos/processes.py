"""Processes by what they are in a mesh: a workload's app, or whoever listens at an address. Linux: it reads /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import MeshError

PROC = Path("/proc")


class ProcessError(MeshError):
    """A process that is not there, or not ours to signal."""


@dataclass(frozen=True, slots=True)
class Target:
    """A process; `began` (clock ticks since boot) tells it from a later one with its number."""

    pid: int
    began: int

    def send(self, number: signal.Signals) -> bool:
        """Whether it was still there. ProcessError where it belongs to somebody else."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if _began(self.pid) != self.began:
                return False
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        except PermissionError as error:
            raise ProcessError(f"process {self.pid} is another user's: {number.name} is not allowed") from error
        finally:
            os.close(handle)
        return True


def of_workload(name: str) -> list[Target]:
    """The app of a workload, with its children: those whose environment says `POD_NAME=name`, this process excepted."""
    wanted = b"POD_NAME=" + name.encode()
    found = [pid for pid in _pids() if pid != os.getpid() and wanted in _read(pid, "environ").split(b"\0")]
    if not found:
        raise ProcessError(
            f"no process of this machine is workload {name}: it has to be started by mesh run or mesh demo, as this user"
        )
    return [Target(pid, _began(pid)) for pid in found]


def listening(host: str, port: int) -> Target:
    """The process that listens at an address."""
    inodes = {inode for address, number, inode in _sockets() if number == port and address in (host, "0.0.0.0", "::")}
    for pid in _pids():
        if inodes & _open_sockets(pid):
            return Target(pid, _began(pid))
    raise ProcessError(f"no process of this user listens at {host}:{port} on this machine")


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""


def _open_sockets(pid: int) -> set[str]:
    """Their inodes; none of a process that may not be looked at."""
    found = set()
    try:
        for entry in os.scandir(PROC / str(pid) / "fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                found.add(os.readlink(entry.path).removeprefix("socket:[").removesuffix("]"))
    except OSError:
        return set()
    return found


def _began(pid: int) -> int:
    """Field 22 of stat; the name in field 2 may hold anything (proc_pid_stat(5))."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


def _sockets() -> Iterator[tuple[str, int, str]]:
    """Address, port and inode of each listening TCP socket."""
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in _lines(PROC / "net" / name):
            words = line.split()
            address, _, port = words[1].partition(":")
            if words[3] == "0A":
                yield _address(address, family), int(port, 16), words[9]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()[1:]
    except OSError:
        return []


def _address(text: str, family: socket.AddressFamily) -> str:
    """The kernel prints words of four bytes in the machine's order."""
    words = [bytes.fromhex(text[index : index + 8])[::-1] for index in range(0, len(text), 8)]
    return socket.inet_ntop(family, b"".join(words))
