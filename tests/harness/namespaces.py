"""Network namespaces of a test's own, joined by a cable: `inside` is a pod, `outside` is the rest of the world."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness.process import Process

TOOLS = ("ip", "iptables", "iptables-restore", "iptables-save", "unshare", "nsenter", "setpriv")
NOBODY, PROXY = 65534, 1337
RUN_SECONDS = 60
INSIDE, OUTSIDE = "10.77.0.1", "10.77.0.2"
# A checkout below /root is no business of other users: what runs as one may read it all the same.
READ = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")


def unavailable() -> str:
    """Why there can be none here; empty when there can."""
    if sys.platform != "linux":
        return "they are Linux's"
    if os.geteuid() != 0:
        return "network namespaces and iptables need root"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    user = " ".join(as_user(PROXY))
    probe = f"iptables-save -t nat && ip link add probe type veth peer name other && {user} true"
    tried = subprocess.run(["unshare", "-n", "sh", "-c", probe], capture_output=True, text=True)
    return (tried.stderr.strip() or f"exit code {tried.returncode}") if tried.returncode else ""


def as_user(uid: int) -> list[str]:
    """What goes in front of a command that is to run as another user."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *READ]


@dataclass(frozen=True, slots=True)
class Namespace:
    """The namespace that a process is in."""

    pid: int

    def command(self, *words: str) -> list[str]:
        """`words` as a command that runs in it."""
        return ["nsenter", "-t", str(self.pid), "-n", *words]

    def run(self, *words: str) -> str:
        """Its output; AssertionError with what it said when it fails."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=RUN_SECONDS)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def rules(self) -> list[str]:
        """The nat table without counters and comments."""
        lines = self.run("iptables-save", "-t", "nat").splitlines()
        return [line.partition(" [")[0] for line in lines if not line.startswith("#")]


@dataclass(frozen=True, slots=True)
class Pair:
    inside: Namespace
    outside: Namespace


@contextmanager
def pair_of_namespaces(folder: Path) -> Iterator[Pair]:
    """INSIDE and OUTSIDE, either with its loopback; they go with the block."""
    hold = ["unshare", "-n", "sh", "-c", "ip link set lo up; echo up; exec sleep 3600"]
    with Process(hold, folder / "in") as first, Process(hold, folder / "out") as second:
        for holder in (first, second):
            holder.wait_ready(lambda holder=holder: "up" in holder.log())
        pair = Pair(Namespace(first.pid), Namespace(second.pid))
        pair.inside.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(second.pid))
        for namespace, address in ((pair.inside, INSIDE), (pair.outside, OUTSIDE)):
            namespace.run("ip", "address", "add", f"{address}/24", "dev", "cable")
            namespace.run("ip", "link", "set", "cable", "up")
        yield pair
