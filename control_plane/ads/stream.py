"""One proxy's stream: the decisions of `push`, carried out. State-of-the-world and delta differ only in `wire`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from control_plane.ads.ack_nack import Verdict
from control_plane.ads.push import Progress, Push, PushCore, Variant
from control_plane.ads.status import Metrics, short
from control_plane.ads.subscription import Request
from control_plane.ads.wire import encode
from control_plane.snapshot.build import Snapshot
from mesh.clock import Clock
from mesh.node import Node

T = TypeVar("T")
Write = Callable[[bytes], Awaitable[None]]

# Responses that are assembled in memory at the same time, over all proxies.
SENDS_AT_ONCE: Final = 16
# A proxy that reads slowly gives its place to others after this.
SEND_PATIENCE: Final = 0.25


class SendPlaces:
    """Bounds how many responses are being written at once, without letting slow readers use all the places up."""

    def __init__(self, places: int = SENDS_AT_ONCE, patience: float = SEND_PATIENCE) -> None:
        self._places = asyncio.Semaphore(places)
        self._patience = patience

    async def send(self, write: Callable[[], Awaitable[T]]) -> T:
        """What `write` returns."""
        await self._places.acquire()
        taken = True

        def leave() -> None:
            nonlocal taken
            if taken:
                taken = False
                self._places.release()

        timer = asyncio.get_running_loop().call_later(self._patience, leave)
        try:
            return await write()
        finally:
            timer.cancel()
            leave()


class ProxyStream:
    """Nothing is sent before the first `retarget`. While a response is being written, whatever else happens merges into
    one next step. `generation` is the ledger's."""

    def __init__(
        self, node: Node, variant: Variant, write: Write, clock: Clock, places: SendPlaces, metrics: Metrics
    ) -> None:
        self.node = node
        self.id = node.id
        self.core = PushCore(variant)
        self.since = clock.monotonic()
        self.generation = 0
        self._write = write
        self._clock = clock
        self._places = places
        self._metrics = metrics
        self._wake = asyncio.Event()
        self._ready = False

    def retarget(self, snapshot: Snapshot) -> None:
        """From now on the proxy is to have `snapshot`."""
        self.core.retarget(snapshot)
        self._ready = True
        self._wake.set()

    def receive(self, request: Request) -> Verdict:
        """Takes in one request."""
        verdict = self.core.receive(request, self._clock.monotonic())
        if verdict is Verdict.NACK:
            self._metrics.rejected(short(request.type_url).lower())
        self._wake.set()
        return verdict

    def progress(self, type_url: str, name: str) -> tuple[Progress, str]:
        return self.core.progress(type_url, name)

    async def run(self) -> None:
        """Sends what is to be sent, until cancelled or the client is gone."""
        try:
            await self._run()
        except ConnectionError:
            return

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if self._ready:
                now = self._clock.monotonic()
                for push in self.core.step(now):
                    await self._send(push)
                deadline = self.core.deadline(now)
                timer = None if deadline is None else loop.call_later(deadline - now, self._wake.set)
            else:
                timer = None
            try:
                await self._wake.wait()
            finally:
                if timer is not None:
                    timer.cancel()

    async def _send(self, push: Push) -> None:
        due = self._clock.monotonic()

        async def write() -> tuple[int, float]:
            # Assembled only once there is a place: a thousand proxies' responses need not be in memory together.
            began, data = self._clock.monotonic(), encode(push, self.core.variant)
            await self._write(data)
            return len(data), began

        size, began = await self._places.send(write)
        name, now = short(push.type_url).lower(), self._clock.monotonic()
        self._metrics.pushed(name)
        self._metrics.sent(name, size, now - due, now - began)
