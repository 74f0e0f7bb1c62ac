"""A child process that is started again whenever it ends by itself, with back-off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from mesh.backoff import Backoff
from mesh.cli.errors import CliError
from mesh.cli.process import STOP_SECONDS, Process
from mesh.tasks import TaskOwner

RESTART_BASE, RESTART_MAX = 0.1, 5.0
STEADY_SECONDS = 10.0  # one that ran so long begins again with short waits
KILLED = 128 + 9  # somebody's kill -9: its log has nothing to say about that

Report = Callable[[str], None]


class Supervised:
    """`make` gives a process that is ready to be started; `report` gets what a person should know, a line at a time."""

    def __init__(self, name: str, make: Callable[[], Process], report: Report) -> None:
        self.name = name
        self.process = make()
        self.restarts = 0
        self._make = make
        self._report = report
        self._tasks = TaskOwner(name)

    async def start(self) -> None:
        await self.process.start()

    def supervise(self) -> None:
        """From now on its end is not accepted."""
        self._tasks.start(self._watch(), "watch")

    def check_running(self) -> None:
        """CliError, with its last words, when it has ended."""
        if not self.process.running:
            code = self.process.exit_code
            raise CliError(f"{self.name} ended with code {code} before it was ready", *self.process.tail())

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        await self.release()
        await self.process.stop(seconds)

    async def release(self) -> None:
        """No more restarts."""
        await self._tasks.close()

    async def _watch(self) -> None:
        backoff = Backoff(RESTART_BASE, RESTART_MAX)
        while True:
            began = time.monotonic()
            code = await self.process.wait()
            if time.monotonic() - began > STEADY_SECONDS:
                backoff.reset()
            self._report(f"{self.name} ended with code {code}; it is started again")
            if code != KILLED:
                for line in self.process.tail():
                    self._report(f"  {line}")
            await asyncio.sleep(backoff.next())
            self.process = self._make()
            await self.process.start()
            self.restarts += 1
