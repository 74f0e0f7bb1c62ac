"""A proxy beside an app: started from a bootstrap file, waited for until it has its configuration, brought back when it
dies, drained before it is ended. Any proxy that takes Envoy's bootstrap and flags will do.

Receives a `Start`; `Sidecar.start()` returns when the process runs, `wait_ready()` when its admin port says LIVE.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.bootstrap import admin_address
from mesh.cli.errors import CliError
from mesh.cli.process import Process
from mesh.cli.supervised import Report, Supervised

OUR_PROXY = "mesh-sidecar"
POLL_SECONDS = 0.03
ASK_SECONDS = 2.0
QUIET_SECONDS = 1.5  # how long a proxy may take before somebody is told why


@dataclass(frozen=True, slots=True)
class Start:
    """How a proxy is started. `program` is the command without the bootstrap; `admin` its admin address, `xds` where it
    looks for its control plane."""

    name: str
    program: tuple[str, ...]
    bootstrap: Path
    admin: tuple[str, int]
    xds: tuple[str, int]
    log: Path | None
    environment: Mapping[str, str] | None = None

    def process(self) -> Process:
        return Process([*self.program, "-c", str(self.bootstrap)], self.log, {**os.environ, **(self.environment or {})})


def proxy_program(path: str = "", state_dir: Path | None = None) -> tuple[str, ...]:
    """The command that starts a proxy: our sidecar, or another binary that takes Envoy's flags. `state_dir` is where
    ours keeps its last configuration, if not at its usual place."""
    if path:
        found = shutil.which(path)
        if found is None:
            raise CliError(f"--proxy {path}: there is no such program")
        # Hot restart would make proxies on one machine share memory by number.
        return (found, "--disable-hot-restart")
    kept = ("--state-dir", str(state_dir)) if state_dir is not None else ()
    return (*console_script(OUR_PROXY, "sidecar.app"), *kept)


def console_script(name: str, module: str) -> tuple[str, ...]:
    """A command of this installation: beside our Python, else on the PATH, else as a module."""
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return (str(beside),)
    found = shutil.which(name)
    return (found,) if found else (sys.executable, "-m", module)


class Sidecar(Supervised):
    """One proxy, supervised."""

    def __init__(self, start: Start, report: Report) -> None:
        super().__init__(f"the sidecar {start.name}", start.process, report)
        self.admin = start.admin
        self._xds = start.xds

    async def wait_ready(self, seconds: float) -> None:
        """Returns when the proxy is LIVE; CliError when it ends before, or is not after `seconds`."""
        began = said = time.monotonic()
        last = ""
        while (state := await self.state()) != "LIVE":
            self.check_running()
            now = time.monotonic()
            if now - began > seconds:
                why = await self._why(state)
                raise CliError(f"{self.name} is not ready after {seconds:g} s: {why}", *self.process.tail())
            if state != last and now - said > QUIET_SECONDS:
                self._report(f"waiting for {self.name}: {await self._why(state)}")
                last, said = state, now
            await asyncio.sleep(POLL_SECONDS)
        self.check_running()  # who answered LIVE may be another proxy on the same port

    async def state(self) -> str:
        """LIVE, or why it is not."""
        status, body = await asyncio.to_thread(ask, *self.admin, "GET", "/ready")
        if status == 200:
            return "LIVE"
        return " ".join(body.split()) if status else "its admin port does not answer yet"

    async def _why(self, state: str) -> str:
        if await asyncio.to_thread(answers, *self._xds):
            return state
        host, port = self._xds
        return f"{state}; no control plane at {host}:{port} (start one: mesh demo, or mesh-control-plane)"

    async def drain(self) -> None:
        """Closes its listeners, so that nothing new comes while it ends."""
        await self.release()
        if self.process.running:
            await asyncio.to_thread(ask, *self.admin, "POST", "/drain_listeners")


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


def answers(host: str, port: int) -> bool:
    """Whether somebody accepts connections there. Blocks: for a thread."""
    try:
        with socket.create_connection((host, port), ASK_SECONDS):
            return True
    except OSError:
        return False


def write_bootstrap(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def environment(address: str, outbound: int, current: Mapping[str, str], name: str) -> dict[str, str]:
    """The environment of an app whose HTTP calls go through the workload's proxy, local ones excepted. The proxy is for
    this machine only: where the workload's address can be reached from others, it listens on loopback. Ranges in
    no_proxy are for those who read them (Go, curl); what others send to 127.x the proxy passes on as it is."""
    proxy = f"http://{admin_address(address)}:{outbound}"
    local = ["localhost", "127.0.0.1", "::1", "127.0.0.0/8", address]
    kept = current.get("no_proxy") or current.get("NO_PROXY") or ""
    no_proxy = ",".join(dict.fromkeys([*local, *filter(None, kept.split(","))]))
    return {
        **current,
        "POD_NAME": name,
        "http_proxy": proxy,
        "HTTP_PROXY": proxy,
        "grpc_proxy": proxy,
        "no_proxy": no_proxy,
        "NO_PROXY": no_proxy,
        "NODE_USE_ENV_PROXY": current.get("NODE_USE_ENV_PROXY", "1"),  # else Node's fetch does not look at the others
    }
