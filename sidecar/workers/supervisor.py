"""Starts the workers, tells them what to do, asks them how they are, and starts another one where one has died."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any

from mesh.backoff import Backoff
from mesh.tasks import TaskOwner
from sidecar.config.model import Bootstrap
from sidecar.process.settings import Settings
from sidecar.workers.channel import Channel, encode
from sidecar.workers.state import WorkerState

log = logging.getLogger(__name__)

# A worker that does not answer the admin port in this time is left out of the answer.
ANSWER_SECONDS = 5.0
# What a worker is given beyond the time for its requests to end by itself, before it is killed.
GRACE_SECONDS = 3.0
BACK_OFF, LONGEST_BACK_OFF = 0.1, 5.0
# Who has lived this long did not die of what it was started with.
LIVED = 30.0


class Supervisor:
    """`settings.concurrency` workers. `catch_up` gives the messages that bring a new one to where the others are."""

    def __init__(
        self,
        bootstrap: Bootstrap,
        settings: Settings,
        tasks: TaskOwner,
        catch_up: Callable[[], Iterator[tuple[Any, ...]]],
    ) -> None:
        self.catch_up = catch_up
        self._first = encode((bootstrap, settings))
        self._workers = [Worker(number + 1, self) for number in range(settings.concurrency)]
        self._tasks = tasks
        self._ending = False

    def start(self) -> None:
        for worker in self._workers:
            self._tasks.start(worker.run(), f"worker {worker.number}")

    @property
    def first(self) -> bytes:
        return self._first

    @property
    def ending(self) -> bool:
        return self._ending

    def tell(self, what: str, *arguments: Any) -> None:
        """All workers; those that are starting get it with everything else."""
        message = encode((what, *arguments))
        for worker in self._workers:
            if worker.channel is not None:
                worker.channel.send_encoded(message)

    async def ask(self, parts: Sequence[str]) -> list[WorkerState]:
        """What the workers that are there tell of themselves."""
        found = await asyncio.gather(*(worker.ask(parts, ANSWER_SECONDS) for worker in self._workers))
        return [state for state in found if state is not None]

    async def settled(self) -> None:
        """Until every worker is there and has done all that it was told."""
        for worker in self._workers:
            await worker.settled()

    async def end(self, seconds: float) -> None:
        """Asks all workers to end, and sees to it that they do."""
        self._ending = True
        self.tell("terminate")
        await asyncio.gather(*(worker.ended(seconds + GRACE_SECONDS) for worker in self._workers))


class Worker:
    """One of them, over all processes that are started in its place."""

    def __init__(self, number: int, owner: Supervisor) -> None:
        self.number = number
        self.channel: Channel | None = None
        self._owner = owner
        self._process: Process | None = None
        self._there = asyncio.Event()
        self._questions = itertools.count()
        self._answers: dict[int, asyncio.Future[WorkerState]] = {}

    async def run(self) -> None:
        """Keeps a process going until the supervisor ends."""
        backoff = Backoff(BACK_OFF, LONGEST_BACK_OFF)
        while not self._owner.ending:
            began = monotonic()
            try:
                await self._live()
            finally:
                self._gone()
            if self._owner.ending:
                return
            if monotonic() - began > LIVED:
                backoff.reset()
            wait = backoff.next()
            code = self._process.returncode if self._process is not None else None
            log.error("worker %d ended (%s); another one starts in %.1f s", self.number, _how(code), wait)
            await asyncio.sleep(wait)

    async def _live(self) -> None:
        """One process, from its start to its end."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            command = (sys.executable, "-m", "sidecar.workers.worker", str(theirs.fileno()), str(self.number))
            self._process = await asyncio.create_subprocess_exec(*command, pass_fds=(theirs.fileno(),))
        channel = await Channel.over(ours)
        try:
            channel.send_encoded(self._owner.first)
            for message in self._owner.catch_up():
                channel.send(message)
            self.channel = channel
            self._there.set()
            await self._hear(channel)
        finally:
            self.channel = None
            channel.close()
            if self._process.returncode is None and not self._owner.ending:
                self._process.kill()  # it no longer talks to us
            await self._process.wait()

    async def _hear(self, channel: Channel) -> None:
        while True:
            try:
                kind, *rest = await channel.receive()
            except EOFError:
                return
            if kind == "state":
                number, state = rest
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(state)
            else:
                log.error("worker %d: %s", self.number, *rest)

    def _gone(self) -> None:
        self._there.clear()
        for answer in self._answers.values():
            answer.cancel()

    async def ask(self, parts: Sequence[str], seconds: float | None) -> WorkerState | None:
        """None when it is not there, dies over it or takes too long."""
        if self.channel is None:
            return None
        number = next(self._questions)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self.channel.send(("tell", number, parts))
        try:
            await asyncio.wait((answer,), timeout=seconds)
            return answer.result() if answer.done() and not answer.cancelled() else None
        finally:
            del self._answers[number]

    async def settled(self) -> None:
        while await self.ask((), None) is None:
            await self._there.wait()

    async def ended(self, seconds: float) -> None:
        """Until its process is gone; killed when that takes too long."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            log.error("worker %d does not end and is killed", self.number)
            process.kill()
            await process.wait()


def _how(code: int | None) -> str:
    return "it could not be started" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"
