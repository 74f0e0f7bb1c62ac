"""The sending side: takes what is due from the schedule, sends it, records what becomes of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from itertools import islice
from time import monotonic
from typing import Any, Protocol

from mesh.load.alarm import Alarm
from mesh.load.connection import Exchange, Pool, header_of
from mesh.load.plan import GRPC, HTTP1, Plan
from mesh.load.recorder import Recorder
from mesh.load.template import Mix, Origin, Template, TemplateError

MOST_OPEN = 100_000  # requests that are due and not ended, of one process: beyond, they are dropped and counted
DROPPED = "dropped"
LOOK_SECONDS = 0.1  # for what has taken too long


class AnyPool(Protocol):
    """What takes requests to one origin."""

    async def resolve(self) -> None: ...
    def send(self, exchange: Exchange) -> None: ...
    def overdue(self, before: float) -> None: ...
    async def close(self) -> None: ...


class Generator:
    """The `index`-th of `plan.processes`: it sends every so many-th request of the schedule, beginning with its own."""

    def __init__(self, plan: Plan, index: int = 0) -> None:
        self._plan = plan
        self._index = index
        self._chance = random.Random(f"{plan.seed}/{index}")
        proxy = _origin(plan.proxy) if plan.proxy else None
        self._mix = Mix([Template(spec, proxy) for spec in plan.requests])
        self.recorders = [Recorder() for _ in self._mix.templates]
        self._pools: dict[Origin, AnyPool] = {}
        self._loop = asyncio.get_running_loop()
        self._moments: Iterator[tuple[int, float]] = iter(())
        self._next: tuple[int, float] | None = None
        self._began = 0.0
        self._open = 0
        self._stopped = False
        self._ended = asyncio.Event()

    async def run(self, begin: float | None = None) -> None:
        """Sends all of it, from the moment `begin` of the monotonic clock on, and waits for what is under way. MeshError
        when a host is not known."""
        plan = self._plan
        connections = max(1, plan.connections // plan.processes)
        for template in self._mix.templates:
            if template.origin not in self._pools:
                self._pools[template.origin] = self._pool(template.origin, connections)
        for pool in self._pools.values():
            await pool.resolve()
        self._began = monotonic() if begin is None else begin
        moments = enumerate(plan.schedule.due(plan.seed))
        bounded = islice(moments, plan.count) if plan.count else moments
        self._moments = islice(bounded, self._index, None, plan.processes)
        self._advance()
        alarm = Alarm(self._send_due)
        self._alarm = alarm
        alarm.set(self._wait() or 0.0)
        self._looking = self._loop.call_later(LOOK_SECONDS, self._look)
        try:
            await self._ended.wait()
        finally:
            alarm.close()
            self._looking.cancel()
            for pool in self._pools.values():
                await pool.close()

    def stop(self) -> None:
        """Nothing new is sent; `run` returns when what is under way has ended."""
        self._stopped = True
        self._next = None
        self._check_end()

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return max(0.0, monotonic() - self._began) if self._began else 0.0

    def take(self) -> list[dict[str, Any]]:
        """What was recorded since the last call, by kind of request."""
        return [recorder.take() for recorder in self.recorders]

    def _pool(self, origin: Origin, connections: int) -> AnyPool:
        plan = self._plan
        if plan.protocol == HTTP1:
            return Pool(origin, connections, self._done, plan.keep_alive)
        from mesh.load import multiplexed

        return multiplexed.Pool(origin, connections, self._done, plan.protocol == GRPC)

    def _advance(self) -> None:
        found = None if self._stopped else next(self._moments, None)
        if found is not None and self._plan.seconds and found[1] >= self._plan.seconds:
            found = None
        self._next = found

    def _wait(self) -> float | None:
        """Seconds until the next is due."""
        return None if self._next is None else self._began + self._next[1] - monotonic()

    def _send_due(self) -> None:
        while (wait := self._wait()) is not None and wait <= 0:
            assert self._next is not None  # noqa: S101
            self._send(*self._next)
            self._advance()
        if wait is not None:
            self._alarm.set(wait)
        else:
            self._check_end()

    def _send(self, number: int, moment: float) -> None:
        order = self._plan.order
        kind = order[number] if order else self._mix.pick(self._chance)
        if self._open >= MOST_OPEN:
            self.recorders[kind].errors[DROPPED] += 1
            return
        template = self._mix.templates[kind]
        self._open += 1
        data = template.render(number, self._chance)
        self._pools[template.origin].send(Exchange(kind, data, self._began + moment, template.no_body))

    def _done(self, exchange: Exchange) -> None:
        self._open -= 1
        recorder = self.recorders[exchange.kind]
        response = exchange.response
        if exchange.error or response is None:
            recorder.errors[exchange.error] += 1
        else:
            recorder.statuses[response.status] += 1
            recorder.received += response.size
            recorder.latencies.append(int((exchange.ended - exchange.due) * 1e6))
            recorder.service.append(int((exchange.ended - exchange.sent) * 1e6))
            if self._plan.label_header:
                recorder.labels[header_of(response.head, self._plan.label_header) or "-"] += 1
        if self._next is None and not self._open:
            self._check_end()

    def _check_end(self) -> None:
        if self._next is None and not self._open:
            self._ended.set()

    def _look(self) -> None:
        before = monotonic() - self._plan.timeout
        for pool in self._pools.values():
            pool.overdue(before)
        self._looking = self._loop.call_later(LOOK_SECONDS, self._look)


def _origin(proxy: str) -> Origin:
    host, colon, port = proxy.removeprefix("http://").rstrip("/").rpartition(":")
    if not colon or not port.isdigit():
        raise TemplateError(f"{proxy}: expected HOST:PORT of an HTTP proxy")
    return Origin(host.strip("[]"), int(port))
