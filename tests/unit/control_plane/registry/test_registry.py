"""The rim: timers and the disk, on the real loop with short graces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane.registry.lifecycle import Grace
from control_plane.registry.registry import Registry
from control_plane.sources.source import SourceError
from control_plane.sources.sqlite import SqliteSource
from mesh.clock import SystemClock
from mesh.node import Node, ServicePort

NODE = Node("sidecar", "127.0.1.2", "reviews-1", service="reviews", ports=(ServicePort(9080),))


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[SqliteSource]:
    source = SqliteSource(str(tmp_path / "mesh.db"))
    await source.open()
    yield source
    await source.close()


async def eventually(check: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - what is waited for is a timer's doing
            await asyncio.sleep(0.005)


async def test_a_lost_workload_expires_by_itself(source: SqliteSource) -> None:
    registry = Registry(source, Grace(lost=0.02, removal=0.02, restart=9), SystemClock())
    told: list[list[bool]] = []
    registry.listen(lambda: told.append([workload.healthy for workload in registry.workloads()]))
    await registry.start()
    registry.connected(NODE)
    registry.disconnected(NODE)
    await eventually(lambda: told == [[True], [False], []])
    await registry.close()
    assert await source.registrations() == {}


async def test_workloads_are_there_after_a_restart(source: SqliteSource) -> None:
    first = Registry(source, Grace(), SystemClock())
    await first.start()
    first.connected(NODE)
    await first.close()

    second = Registry(source, Grace(restart=0.02, removal=60), SystemClock())
    await second.start()
    assert [(w.node.id, w.healthy, w.connected) for w in second.workloads()] == [(NODE.id, True, False)]
    await eventually(lambda: not second.workloads()[0].healthy)
    second.connected(NODE)
    assert second.workloads()[0].healthy
    await second.close()


async def test_a_registration_that_cannot_be_read_is_left_out(
    source: SqliteSource, caplog: pytest.LogCaptureFixture
) -> None:
    await source.save_registrations({"broken": {"node": 17}}, [])
    registry = Registry(source, Grace(), SystemClock())
    await registry.start()
    assert registry.workloads() == []
    assert "broken" in caplog.text
    await registry.close()


async def test_a_disk_that_fails_is_asked_again(
    source: SqliteSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, failures = source.save_registrations, [SourceError("the disk is full")]

    async def save(*arguments: object) -> None:
        if failures:
            raise failures.pop()
        await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(source, "save_registrations", save)
    registry = Registry(source, Grace(), SystemClock())
    await registry.start()
    registry.connected(NODE)
    await eventually(lambda: not failures)
    await registry.close()
    assert list(await source.registrations()) == [NODE.id]
    assert "the disk is full" in caplog.text


async def test_a_workload_that_nobody_can_be_sent_to_serves_nobody(
    source: SqliteSource, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(source, Grace(), SystemClock())
    await registry.start()
    registry.connected(replace(NODE, service="no such name"))
    (workload,) = registry.workloads()
    assert (workload.node.service, workload.node.ports) == ("", ())
    assert "not a DNS name" in caplog.text
    await registry.close()
