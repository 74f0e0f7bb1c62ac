"""Threads for what computes for seconds. They end with the process: nobody who computes for somebody gone holds it up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

from mesh.gc_tuning import uncollected

T = TypeVar("T")

_NAME: Final = "worker"


def working() -> bool:
    """Whether something is still being computed, which nobody may wait for any more."""
    return any(thread.name.startswith(_NAME) for thread in threading.enumerate())


class Workers:
    """So many computations at once; others wait for their turn, and one that nobody waits for any more is not begun."""

    def __init__(self, most: int) -> None:
        self._places = asyncio.Semaphore(most)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` returns or raises."""
        await self._places.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()

        def finished(value: T | None, error: BaseException | None) -> None:
            self._places.release()
            if result.cancelled():
                return
            if error is None:
                result.set_result(value)  # type: ignore[arg-type]
            else:
                result.set_exception(error)

        def thread() -> None:
            value, failure = None, None
            try:
                with uncollected():
                    value = work(*arguments)
            except BaseException as error:  # it belongs to whoever waits
                failure = error
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(finished, value, failure)

        threading.Thread(target=thread, name=f"{_NAME} {work.__name__}", daemon=True).start()
        return await result
