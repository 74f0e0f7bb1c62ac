"""Breaks, and mends: `python -m mesh.chaos.keeper BREAKAGE`, with the breakage as JSON.

Says `broken` when it is, or why it cannot be, and mends when its time is over, when it is told so by a line, or when its
input ends, as it does when whoever started it is killed. It is in a session of its own: a Ctrl-C of the terminal does not
reach it.
"""

from __future__ import annotations

import json
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from mesh.chaos import containers, names
from mesh.chaos.processes import Target
from mesh.errors import MeshError

BROKEN, MENDED = "broken", "mended"
CONNECT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Breakage:
    """`paused` processes go on afterwards; `killed` ones are for others to start again; containers do both; `connections`
    are opened to (host, port) and held; the DNS forwarder with the control port `names` (host, port, seconds) is slow."""

    seconds: float
    paused: tuple[Target, ...] = ()
    killed: tuple[Target, ...] = ()
    paused_containers: tuple[str, ...] = ()
    killed_containers: tuple[str, ...] = ()
    connections: tuple[str, int, int] | None = None
    names: tuple[str, int, float] | None = None

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Breakage:
        data: Mapping[str, Any] = json.loads(text)
        paused, killed = (tuple(Target(**each) for each in data[name]) for name in ("paused", "killed"))
        ids = [tuple(data[name]) for name in ("paused_containers", "killed_containers")]
        held, slow = data["connections"], data["names"]
        places = (tuple(held) if held else None, tuple(slow) if slow else None)
        return cls(data["seconds"], paused, killed, ids[0], ids[1], *places)


@dataclass(slots=True)
class Keeper:
    """`wait` returns when it is time to mend."""

    breakage: Breakage
    say: Callable[[str], None]
    wait: Callable[[float], None]
    _open: ExitStack = field(default_factory=ExitStack)

    def run(self) -> None:
        with self._open:
            for target in self.breakage.paused:
                self._open.enter_context(paused(target))
            for target in self.breakage.killed:
                target.send(signal.SIGKILL)
            for container in self.breakage.paused_containers:
                self._open.enter_context(containers.paused(container))
            for container in self.breakage.killed_containers:
                self._open.enter_context(containers.killed(container))
            if self.breakage.connections is not None:
                self._open.enter_context(held(*self.breakage.connections))
            if self.breakage.names is not None:
                self._open.enter_context(names.slow(*self.breakage.names))
            self.say(BROKEN)
            self.wait(self.breakage.seconds)
        self.say(MENDED)


@contextmanager
def paused(target: Target) -> Iterator[None]:
    try:
        target.send(signal.SIGSTOP)
        yield
    finally:
        target.send(signal.SIGCONT)


@contextmanager
def held(host: str, port: int, count: int) -> Iterator[int]:
    """So many connections, or as many as are given; they end with the process in any case."""
    with ExitStack() as opened:
        taken = 0
        for _ in range(count):
            try:
                opened.enter_context(socket.create_connection((host, port), CONNECT_SECONDS))
            except OSError:
                break
            taken += 1
        yield taken


def until_told(seconds: float) -> None:
    """Until a line comes, the input ends, or the time is over."""
    select.select([sys.stdin], [], [], seconds)


def say(word: str) -> None:
    try:
        print(word, flush=True)
    except OSError:  # whoever listened is gone; the mending matters
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115 - nothing is to be flushed to a closed pipe at exit


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        Keeper(Breakage.decode(sys.argv[1]), say, until_told).run()
    except MeshError as error:
        say(" ".join(str(error).split()))  # in place of `broken`; what was broken before it is mended
        raise SystemExit(1) from None


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
