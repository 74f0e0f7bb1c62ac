"""Child processes of a test: logs kept, readiness polled under a deadline, ended by pid."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self, TypeVar

POLL_SECONDS = 0.02
STOP_SECONDS = 10.0
LOG_TAIL_LINES = 40

T = TypeVar("T")


def wait_until(check: Callable[[], T], seconds: float, what: str) -> T:
    """The first truthy value of `check`; AssertionError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if value := check():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s")
        time.sleep(POLL_SECONDS)


class Process:
    """A child whose output goes to a file, as a context manager: it is gone, and reaped, on exit."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.name = Path(str(command[0])).name
        self.log_path = log
        self._log: IO[bytes] = log.open("ab")
        self._child = subprocess.Popen(
            [str(part) for part in command],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        self.pid = self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._child.poll()

    def log(self) -> str:
        """The end of what it printed."""
        lines = self.log_path.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def wait_ready(self, check: Callable[[], object], seconds: float = 60.0) -> None:
        """Until `check` is truthy; AssertionError with the log if the process ends first, or in time is not."""

        def ready() -> object:
            if self.returncode is not None:
                raise AssertionError(f"{self.name} ended with {self.returncode} before it was ready:\n{self.log()}")
            return check()

        try:
            wait_until(ready, seconds, f"{self.name} ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from error

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit code, once it ends by itself."""
        return self._child.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """SIGTERM, then SIGKILL when it does not listen; its exit code."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._log.close()
        return self._child.returncode


def http_get(port: int, path: str, address: str = "127.0.0.1", method: str = "GET") -> tuple[int, str]:
    """Status and body of one plain request; status 0 while nobody answers."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def admin_ready(port: int, address: str = "127.0.0.1") -> Callable[[], bool]:
    """A check for `wait_ready`: the proxy's admin says LIVE."""
    return lambda: http_get(port, "/ready", address)[0] == 200
