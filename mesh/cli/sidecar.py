"""A proxy beside an app: started from a bootstrap file, waited for until it has its configuration, brought back when it
dies, drained before it is ended. Any proxy that takes Envoy's bootstrap and flags will do.

Receives a `Start`; `Sidecar.start()` returns when the process runs, `wait_ready()` when its admin port says LIVE.
"""

from __future__ import annotations

import asyncio
import http.client
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.backoff import Backoff
from mesh.cli.errors import CliError
from mesh.cli.process import Process
from mesh.tasks import TaskOwner

OUR_PROXY = "mesh-sidecar"
POLL_SECONDS = 0.03
ASK_SECONDS = 2.0
RESTART_BASE, RESTART_MAX = 0.1, 5.0
STEADY_SECONDS = 10.0  # a proxy that ran so long begins again with short waits
QUIET_SECONDS = 1.5  # without an answer to "why not yet" until something is said

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Start:
    """How a proxy is started. `program` is the command without the bootstrap; `admin` its admin address."""

    name: str
    program: tuple[str, ...]
    bootstrap: Path
    admin: tuple[str, int]
    log: Path | None
    cwd: Path | None = None

    @property
    def command(self) -> list[str]:
        return [*self.program, "-c", str(self.bootstrap)]


def proxy_program(path: str = "") -> tuple[str, ...]:
    """The command that starts a proxy: our sidecar, or another binary that takes Envoy's flags."""
    if path:
        found = shutil.which(path)
        if found is None:
            raise CliError(f"--proxy {path}: there is no such program")
        # One worker, as our sidecar; hot restart would make proxies on one machine share memory by number.
        return (found, "--concurrency", "1", "--disable-hot-restart")
    return console_script(OUR_PROXY, "sidecar.app")


def console_script(name: str, module: str) -> tuple[str, ...]:
    """A command of this installation: beside our Python, else on the PATH, else as a module."""
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return (str(beside),)
    found = shutil.which(name)
    return (found,) if found else (sys.executable, "-m", module)


class Sidecar:
    """One proxy, supervised. `report` gets what a person should know, a line at a time."""

    def __init__(self, start: Start, report: Report) -> None:
        self._start = start
        self._report = report
        self._process = self._make()
        self._tasks = TaskOwner(start.name)
        self._stopping = False
        self.restarts = 0

    @property
    def process(self) -> Process:
        return self._process

    async def start(self) -> None:
        await self._process.start()

    async def wait_ready(self, seconds: float, progress: bool = True) -> None:
        """Returns when the proxy is LIVE; CliError when it ends before, or is not after `seconds`."""
        began = said = time.monotonic()
        last = ""
        while True:
            if not self._process.running:
                raise CliError(
                    f"the sidecar {self._start.name} ended with code {self._process.exit_code} before it was ready",
                    *self._process.tail(),
                )
            state = await self.state()
            if state == "LIVE":
                return
            now = time.monotonic()
            if now - began > seconds:
                raise CliError(
                    f"the sidecar {self._start.name} is not ready after {seconds:g} s: {state}", *self._process.tail()
                )
            if progress and state != last and now - said > QUIET_SECONDS:
                self._report(f"waiting for the sidecar: {state}")
                last, said = state, now
            await asyncio.sleep(POLL_SECONDS)

    def supervise(self) -> None:
        """From now on the proxy is started again whenever it ends by itself."""
        self._tasks.start(self._watch(), "watch")

    async def state(self) -> str:
        """LIVE, or why it is not."""
        status, body = await asyncio.to_thread(ask, *self._start.admin, "GET", "/ready")
        if status == 200:
            return "LIVE"
        return " ".join(body.split()) if status else "its admin port does not answer yet"

    async def stop(self) -> None:
        """Closes its listeners first, so that nothing new comes while it ends."""
        self._stopping = True
        await self._tasks.close()
        if self._process.running:
            await asyncio.to_thread(ask, *self._start.admin, "POST", "/drain_listeners")
            await self._process.stop()

    async def _watch(self) -> None:
        backoff = Backoff(RESTART_BASE, RESTART_MAX)
        while not self._stopping:
            began = time.monotonic()
            code = await self._process.wait()
            if time.monotonic() - began > STEADY_SECONDS:
                backoff.reset()
            self._report(f"the sidecar {self._start.name} ended with code {code}; it is started again")
            if code != 137:  # killed from outside: its log would say nothing about that
                for line in self._process.tail():
                    self._report(f"  {line}")
            await asyncio.sleep(backoff.next())
            self._process = self._make()
            await self._process.start()
            self.restarts += 1

    def _make(self) -> Process:
        return Process(self._start.command, self._start.log, cwd=self._start.cwd)


def ask(host: str, port: int, method: str, path: str, timeout: float = ASK_SECONDS) -> tuple[int, str]:
    """Status and body; status 0 when there is no answer. Blocks: for a thread."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def write_bootstrap(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def environment(
    address: str, outbound: int, current: dict[str, str], name: str, hosts: Sequence[str] = ()
) -> dict[str, str]:
    """The environment of an app whose HTTP calls go through the proxy at `address`:`outbound`, local ones excepted."""
    proxy = f"http://{address}:{outbound}"
    local = ["localhost", "127.0.0.1", "::1", "127.0.0.0/8", address, *hosts]
    kept = current.get("no_proxy") or current.get("NO_PROXY") or ""
    no_proxy = ",".join(dict.fromkeys([*local, *filter(None, kept.split(","))]))
    return {
        "POD_NAME": name,
        **current,
        "http_proxy": proxy,
        "HTTP_PROXY": proxy,
        "no_proxy": no_proxy,
        "NO_PROXY": no_proxy,
    }
