"""Child processes: started so that they cannot outlive their parent, ended gently and then not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from mesh.cli.errors import CliError

STOP_SECONDS = 5.0
TAIL_LINES = 15
TAIL_BYTES = 16_384
LINE_BYTES = 1 << 20  # of a piped child
PR_SET_PDEATHSIG = 1
COMMAND_NOT_FOUND = 127


class Process:
    """A child. `log` None lets it write where its parent does; with `piped`, `lines()` gives what it prints and only
    its errors go to the log; `own_group` keeps the terminal's Ctrl-C away from it."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        own_group: bool = True,
        piped: bool = False,
    ) -> None:
        self.command = list(command)
        self.log = log
        self._env = env
        self._cwd = cwd
        self._own_group = own_group
        self._piped = piped
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None  # noqa: S101  (a process that was not started has no pid)
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    @property
    def exit_code(self) -> int | None:
        """As a shell tells it: 128 + n for signal n; None while it runs."""
        code = self._child.returncode if self._child else None
        return None if code is None else (128 - code if code < 0 else code)

    async def start(self) -> None:
        """CliError when there is no such program."""
        output: IO[bytes] | None = None
        try:
            if self.log is not None:
                output = self.log.open("ab")
            self._child = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=subprocess.DEVNULL if self._own_group else None,
                stdout=subprocess.PIPE if self._piped else output,
                stderr=output,
                limit=LINE_BYTES,
                env=self._env,
                cwd=self._cwd,
                process_group=0 if self._own_group else None,
                preexec_fn=_dies_with_parent(),
            )
        except OSError as error:
            raise CliError(f"cannot start {self.command[0]}: {error.strerror}", code=COMMAND_NOT_FOUND) from error
        finally:
            if output is not None:
                output.close()

    async def lines(self) -> AsyncIterator[str]:
        """What a `piped` child prints, until it ends."""
        if self._child is None or self._child.stdout is None:
            raise ValueError(f"{self.command[0]} has no pipe")
        async for line in self._child.stdout:
            yield line.decode()

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        assert self._child is not None  # noqa: S101
        await self._child.wait()
        code = self.exit_code
        assert code is not None  # noqa: S101
        return code

    def send(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._child.send_signal(number)

    async def stop(self, seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL for what is still there after `seconds`."""
        if not self.running:
            return
        self.send(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            await self.wait()

    def tail(self) -> list[str]:
        """The last lines that it wrote to its log."""
        if self.log is None or not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]


def _dies_with_parent() -> Callable[[], None] | None:
    """What the child does first: it asks Linux for a SIGTERM when its parent is gone, however that ends."""
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was gone before the question
            os._exit(1)

    return ask
