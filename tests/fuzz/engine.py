"""A proxy between two sides that misbehave: sends what it is told from the client's or the upstream's side, checks rules."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import yaml

from sidecar.codec.h2_frames import PREFACE
from tests.fuzz.rules import log_faults, request_faults, response_faults
from tests.harness.client import Client
from tests.harness.ports import free_port
from tests.harness.process import Process, admin_ready
from tests.harness.upstream import Close, Pause, Plan, ReadBody, Send, Upstream, reply

Side = Literal["requests", "responses"]
QUIET_SECONDS = 0.04  # so long nothing came: whatever there is to come has come
TOTAL_SECONDS = 1.0
# The scripted upstream ends a connection some time after its response, perhaps just when a clean request has taken it from
# the pool: without a retry policy that is a 503, and one of each connection that was left.
CANARY_ATTEMPTS = 10
TYPE = "type.googleapis.com/envoy.extensions.filters."
HCM_TYPE = TYPE + "network.http_connection_manager.v3.HttpConnectionManager"
ROUTER_TYPE = TYPE + "http.router.v3.Router"


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes of one side, as the parts that are written."""

    side: Side
    parts: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        return b"".join(self.parts)


@dataclass(slots=True)
class Outcome:
    """What came back to the client, and which rules were broken."""

    statuses: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Engine:
    """One proxy process, restarted when it died."""

    def __init__(self, command: Callable[[Path], list[str]], folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._responses: dict[str, tuple[bytes, ...]] = {}
        self._numbers = itertools.count()
        self._port = free_port()
        self._admin = free_port()
        self._upstream = Upstream(free_port(), choose=self._choose)
        self._process: Process | None = None
        self._log_seen = 0

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        await self._upstream.__aenter__()
        self._start()
        if faults := await self._canary():
            raise AssertionError(f"before any input: {faults}\n{self._log()}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()
        await self._upstream.__aexit__(kind, error, trace)

    async def batch(self, inputs: Sequence[Input]) -> list[Outcome]:
        """All inputs at the same time, then the rules. A broken rule that cannot be told to be one input's is every
        input's: try them alone."""
        self._upstream.reset()
        outcomes = await asyncio.gather(*(self._one(given) for given in inputs))
        shared = await self._shared_faults()
        for outcome in outcomes:
            outcome.faults += shared
        return list(outcomes)

    async def _one(self, given: Input) -> Outcome:
        if given.side == "requests":
            raw = await self._exchange(given.parts)
            # Who begins with HTTP/2 gets its frames, which have a fuzzer of their own.
            return _outcome(b"" if given.data.startswith(PREFACE) else raw, heads=b"HEAD" in given.data)
        path = f"/raw/{next(self._numbers)}"
        self._responses[path] = given.parts
        raw = await self._exchange((b"GET %s HTTP/1.1\r\nHost: fuzz.test\r\n\r\n" % path.encode(),))
        del self._responses[path]
        return _outcome(raw)

    async def _exchange(self, parts: Sequence[bytes]) -> bytes:
        """Everything that comes back until the other side ends or is quiet."""
        try:
            async with Client(self._port) as client:
                for part in parts:
                    await client.send(part)
                    if len(parts) > 1:
                        await asyncio.sleep(0)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(TOTAL_SECONDS):
                        while (seen := len(client.raw)) >= 0:
                            ended = await client.end(QUIET_SECONDS) != "open"
                            if ended or len(client.raw) == seen:
                                break
                return client.raw
        except ConnectionError:
            return b""

    async def _shared_faults(self) -> list[str]:
        """The rules that hold for the proxy as a whole."""
        faults = []
        for received in self._upstream.requests:
            faults += [f"upstream got {fault}" for fault in request_faults(received)]
            if received.ended == "malformed":
                faults.append(f"upstream got a malformed body: {received.raw_head[:80]!r}")
        faults += await self._canary()
        faults += self._process_faults()
        return faults

    async def _canary(self) -> list[str]:
        """A clean request on a connection of its own gets its own answer, whatever the pool went through."""
        fault = ""
        for _ in range(CANARY_ATTEMPTS):
            path = f"/canary/{next(self._numbers)}"
            try:
                async with Client(self._port) as client:
                    await client.send(f"GET {path} HTTP/1.1\r\nHost: fuzz.test\r\n\r\n".encode())
                    answer = await client.response()
            except (OSError, TimeoutError) as error:
                return [f"a clean request afterwards got no answer: {error!r}"]
            if answer is not None and answer.status == 200 and answer.body == path.encode():
                return []
            fault = f"a clean request afterwards got {answer}"
            if answer is None or answer.status != 503 or not answer.body.endswith(b"connection termination"):
                break
        return [fault]

    def _log(self) -> str:
        return self._process.log() if self._process is not None else ""

    def _process_faults(self) -> list[str]:
        if self._process is None:
            return []
        log = self._process.log_path.read_text(errors="replace")
        faults = [f"log: {line}" for line in log_faults(log[self._log_seen :])]
        self._log_seen = len(log)
        if (code := self._process.returncode) is not None:
            faults.append(f"the proxy ended with {code}: {self._process.log()[-500:]}")
            self._start()
        return faults

    def _start(self) -> None:
        path = self._folder / "fuzz.yaml"
        path.write_text(yaml.safe_dump(self._bootstrap()))
        self._process = Process(self._command(path), self._folder / "proxy.log")
        self._process.wait_ready(admin_ready(self._admin))

    def _choose(self, path: str) -> Plan:
        if (parts := self._responses.get(path)) is not None:
            return [ReadBody(), *(Send(part) for part in parts), Pause(QUIET_SECONDS / 2), Close()]
        return reply(body=path.encode("latin-1")) if path.startswith("/canary") else reply()

    def _bootstrap(self) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": _address(self._upstream.port)}}
        cluster = {
            "name": "fuzz",
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": "fuzz", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "fuzz", "timeout": "2s"}}]
        hcm = {
            "@type": HCM_TYPE,
            "stat_prefix": "fuzz",
            "delayed_close_timeout": "0.05s",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER_TYPE}}],
            "route_config": {"name": "fuzz", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]}
        listener = {"name": "fuzz", "address": _address(self._port), "filter_chains": [chain]}
        return {
            "admin": {"address": _address(self._admin)},
            "static_resources": {"listeners": [listener], "clusters": [cluster]},
        }


def _outcome(raw: bytes, heads: bool = False) -> Outcome:
    faults = [f"client got {fault}" for fault in response_faults(raw, heads)]
    statuses = [part[:3].decode("latin-1") for part in raw.split(b"HTTP/1.1 ")[1:]]
    return Outcome(statuses, faults)


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
