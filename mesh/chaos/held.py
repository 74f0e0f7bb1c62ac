"""A fault that is held by a keeper: what the one who asked for it has in hand."""

from __future__ import annotations

import signal
import subprocess
import sys
from types import TracebackType

from mesh.chaos import containers
from mesh.chaos.keeper import BROKEN, Breakage
from mesh.chaos.processes import ProcessError

MEND_SECONDS = 20.0  # an engine that starts containers again takes its time


class Held:
    """Broken from its begin on. `mend` is for before its time is over; whoever ends without it is followed by the keeper,
    and a keeper that was killed is followed by `mend`."""

    def __init__(self, breakage: Breakage) -> None:
        self._breakage = breakage
        self._keeper = subprocess.Popen(
            [sys.executable, "-m", "mesh.chaos.keeper", breakage.encode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._keeper.stdout is not None  # noqa: S101
        said = self._keeper.stdout.readline().strip()
        if said != BROKEN:
            self.mend()
            raise ProcessError(said or "the keeper of the fault ended before it had begun")

    @property
    def pid(self) -> int:
        return self._keeper.pid

    @property
    def over(self) -> bool:
        return self._keeper.poll() is not None

    def mend(self) -> None:
        try:
            self._keeper.communicate("mend\n", timeout=MEND_SECONDS)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._keeper.kill()
            self._keeper.wait()
        for target in self._breakage.paused:
            target.send(signal.SIGCONT)
        for container in (*self._breakage.paused_containers, *self._breakage.killed_containers):
            containers.mend(container)

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mend()
