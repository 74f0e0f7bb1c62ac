"""Performs cases: a `Side` is one proxy with its upstreams; a `Pair` is Envoy and ours with the same configuration."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.harness.client import Client
from tests.harness.envoy import envoy_binary, envoy_command
from tests.harness.h2_upstream import H2Upstream
from tests.harness.h2_wire import H2Client
from tests.harness.ports import free_port
from tests.harness.process import Process, admin_ready, http_get
from tests.harness.sidecar import sidecar_command
from tests.harness.upstream import Upstream
from tests.oracle import bootstrap, h2_run
from tests.oracle.case import HOST, PORT, Abort, AwaitUpstream, Case, HalfClose, Post, Read, ReadUntil, Wait, Write
from tests.oracle.observe import Flat, Observation

LOG_FLUSH = ["--file-flush-interval-msec", "20", "-l", "warning"]
SETTLE_SECONDS = 3.0  # for log lines and upstream records that are still under way
WATCH_SECONDS = 0.6  # how long `end="wait"` watches a connection that stays open
POLL_SECONDS = 0.01
STATS_SECONDS = 0.1  # connections are counted once they have ended, which is after what the client sees of it
SHARED = 6  # upstreams that both sides send to
ALIVE_REQUEST = f"GET / HTTP/1.1\r\nHost: {bootstrap.ALIVE_HOST}\r\n\r\n".encode()

Command = Callable[[Path], list[str]]
Edit = Callable[[dict[str, Any]], None]


def envoy(config: Path) -> list[str]:
    return envoy_command(envoy_binary(), config, *LOG_FLUSH)


def candidate(config: Path) -> list[str]:
    """The proxy that is judged."""
    return envoy(config) if judges_envoy() else sidecar_command(config, *LOG_FLUSH)


def judges_envoy() -> bool:
    """Whether another Envoy is judged in the place of ours."""
    return os.environ.get("MESH_ORACLE_CANDIDATE") == "envoy"


class Side:
    """One proxy process with the upstreams that only it uses."""

    def __init__(
        self,
        name: str,
        command: Command,
        cases: Sequence[Case],
        folder: Path,
        edit: Edit | None,
        shared: Mapping[str, int],
    ) -> None:
        self.name = name
        self._command = command
        self._cases = cases
        self._folder = folder
        self._edit = edit
        self._admin = free_port()
        self._log = folder / f"{name}-access.log"
        self._listeners = {key: free_port() for key in dict.fromkeys(map(bootstrap.listener_key, cases))}
        self._up = Upstream(free_port())
        self._second = Upstream(free_port())
        self._h2up = H2Upstream(free_port())
        self._endpoints = {
            "h2up": self._h2up.port,
            "up": self._up.port,
            "second": self._second.port,
            "refused": free_port(),
            **shared,
        }
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        config = bootstrap.build(self._cases, self._listeners, self._endpoints, self._admin, str(self._log))
        if self._edit is not None:
            self._edit(config)
        path = self._folder / f"{self.name}.yaml"
        path.write_text(yaml.safe_dump(config, sort_keys=False))
        await self._up.__aenter__()
        await self._second.__aenter__()
        await self._h2up.__aenter__()
        self._process = Process(self._command(path), self._folder / f"{self.name}.log")
        # in a thread: the upstreams of health checks have to answer meanwhile
        await asyncio.to_thread(self._process.wait_ready, admin_ready(self._admin))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()
        await self._up.__aexit__(kind, error, trace)
        await self._second.__aexit__(kind, error, trace)
        await self._h2up.__aexit__(kind, error, trace)

    async def observe(self, case: Case) -> Flat:
        """Performs the case and returns what was seen, flattened."""
        self._up.reset(case.script)
        self._second.reset(case.script)
        self._h2up.reset(case.h2_script)
        before = self._stats(case)
        logged = self._log.stat().st_size if self._log.exists() else 0
        seen = Observation(ports={port: word for word, port in self._endpoints.items()})
        port = self._listeners[bootstrap.listener_key(case)]
        if case.h2:
            address, probed, answers = await self._http2(case, port, seen)
        else:
            async with Client(port) as client:
                address = client.local
                await self._perform(case, client, seen)
                probed = await self._finish(case, client, seen)
            answers = len(seen.responses)
        expected = case.logs if case.logs is not None else max(1, answers)
        lines = await self._lines(logged, address, expected + probed)
        seen.log = lines[: len(lines) - probed]
        seen.upstream = self._up.requests + self._second.requests
        if self._h2up.requests or case.h2_script:
            seen.more |= h2_run.flat_upstream(self._h2up.requests)
        if case.stats:
            await asyncio.sleep(STATS_SECONDS)
        after = self._stats(case)
        seen.stats = {name: after[name] - before[name] for name in after}
        return seen.flat()

    async def _http2(self, case: Case, port: int, seen: Observation) -> tuple[str, int, int]:
        """The client's address, whether another request was made, and how many were answered."""
        async with H2Client(
            port, credit=case.h2_credit, answers_pings=case.h2_pongs, settings=dict(case.h2_settings)
        ) as client:
            await h2_run.perform(case, client, (self._h2up, self._up, self._second))
            seen.end, probed = await h2_run.finish(case, client)
        seen.more |= h2_run.flat_client(client)
        return client.local, probed, sum(bool(message.headers) for message in client.messages.values())

    async def _perform(self, case: Case, client: Client, seen: Observation) -> None:
        for step in case.steps():
            match step:
                case Write(data):
                    await client.send(self._filled(data, case))
                case Read(method):
                    seen.responses.append(await client.response(method))
                case ReadUntil(marker):
                    seen.tunnel += await client.bytes_until(marker)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case AwaitUpstream(requests):
                    await self._up.wait_for_requests(requests)
                case HalfClose():
                    client.half_close()
                case Abort():
                    client.reset()
                case Post(path):
                    status, text = await asyncio.to_thread(http_get, self._admin, path, method="POST")
                    assert status == 200, text

    def _filled(self, data: bytes, case: Case) -> bytes:
        text = data.replace(HOST, case.host.encode()).decode("latin-1")
        return PORT.sub(lambda found: str(self._endpoints[found[1]]), text).encode("latin-1")

    async def _finish(self, case: Case, client: Client, seen: Observation) -> int:
        """How the connection ends; 1 when another request was made to find out."""
        last = seen.responses[-1] if seen.responses else None
        if case.end == "skip" or any(isinstance(step, Abort) for step in case.steps()):
            return 0
        if case.end == "wait" or case.tcp is not None:
            seen.end = await client.end(WATCH_SECONDS)
            return 0
        if last is None or last.closes or not last.complete or last.status == 101:
            seen.end = await client.end(SETTLE_SECONDS)
            return 0
        await client.send(ALIVE_REQUEST)
        answer = await client.response()
        if answer is None:
            seen.end = await client.end(SETTLE_SECONDS)
            return 0
        seen.end = "open" if answer.status == 200 else f"answered {answer.status}"
        return 1

    async def _lines(self, logged: int, address: str, expected: int) -> list[Mapping[str, Any]]:
        """The access-log lines of one client connection, once so many of them are there. What was `logged` before
        is left out: it may be of another connection that had the same port."""
        lines: list[Mapping[str, Any]] = []
        deadline = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < deadline:
            data = self._log.read_bytes()[logged:] if self._log.exists() else b""
            whole = data[: data.rfind(b"\n") + 1]
            lines = [line for line in map(json.loads, whole.splitlines()) if line["client"] == address]
            if len(lines) >= expected:
                break
            await asyncio.sleep(POLL_SECONDS)
        return lines

    def _stats(self, case: Case) -> dict[str, int]:
        """The counters that the case names, 0 for those that are not there."""
        if not case.stats:
            return {}
        names = [name.replace("%CLUSTER%", bootstrap.cluster_name(case)) for name in case.stats]
        pattern = "|".join(f"^{re.escape(name)}$".replace("\\", "%5C") for name in names)
        status, body = http_get(self._admin, f"/stats?format=json&filter={pattern}")
        if status != 200:
            raise AssertionError(f"{self.name}: /stats answered {status}: {body[:200]}")
        found = {entry["name"]: entry["value"] for entry in json.loads(body)["stats"] if "name" in entry}
        return {name: int(found.get(name, 0)) for name in names}


class Pair:
    """Both sides of a topic, on an event loop of their own; a context manager."""

    def __init__(
        self,
        cases: Sequence[Case],
        folder: Path,
        judged: Command = candidate,
        edit: Edit | None = None,
    ) -> None:
        self._runner = asyncio.Runner()
        self._shared = {f"shared{number}": Upstream(free_port()) for number in range(SHARED)}
        shared = {word: upstream.port for word, upstream in self._shared.items()} | {"shared_refused": free_port()}
        self._envoy = Side("envoy", envoy, cases, folder, None, shared)
        self._ours = Side("ours", judged, cases, folder, edit, shared)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        for upstream in self._shared.values():
            self._runner.run(upstream.__aenter__())
        self._runner.run(self._envoy.__aenter__())
        try:
            self._runner.run(self._ours.__aenter__())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def observe(self, case: Case) -> tuple[Flat, Flat]:
        """Envoy's and ours, of the same case, at the same time."""
        return self._runner.run(self._both(case))

    def close(self) -> None:
        self._runner.run(self._envoy.__aexit__(None, None, None))
        self._runner.run(self._ours.__aexit__(None, None, None))
        for upstream in self._shared.values():
            self._runner.run(upstream.__aexit__(None, None, None))
        self._runner.close()

    async def _both(self, case: Case) -> tuple[Flat, Flat]:
        envoy_seen, ours_seen = await asyncio.gather(self._envoy.observe(case), self._ours.observe(case))
        return envoy_seen, ours_seen
