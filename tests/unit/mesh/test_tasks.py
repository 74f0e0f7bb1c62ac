from __future__ import annotations

import asyncio
import logging

import pytest

from mesh.tasks import TaskOwner


async def test_tasks_run_and_can_be_waited_for() -> None:
    owner = TaskOwner("test")

    async def work() -> int:
        return 5

    task = owner.start(work(), "five")
    assert await task == 5
    assert task.get_name() == "test:five"


async def test_a_failing_task_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner("test")

    async def work() -> None:
        raise RuntimeError("no")

    with caplog.at_level(logging.ERROR):
        await asyncio.wait([owner.start(work(), "bad")])
        await owner.close()
    assert "test:bad failed" in caplog.text


async def test_close_cancels_what_is_left() -> None:
    owner = TaskOwner("test")
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = owner.start(work())
    started = asyncio.Event()
    asyncio.get_running_loop().call_soon(started.set)
    await started.wait()
    await owner.close()
    assert task.cancelled()
    assert ended.is_set()
