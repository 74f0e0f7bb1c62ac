from __future__ import annotations

import asyncio

import pytest

from control_plane.ads.push import Variant
from control_plane.ads.status import NoMetrics
from control_plane.ads.stream import ProxyStream, SendPlaces
from control_plane.ads.subscription import DeltaRequest
from control_plane.snapshot.build import Snapshot
from mesh.clock import ManualClock
from mesh.node import Node
from mesh.xds import CLUSTER


async def test_no_more_are_sent_at_once_than_there_are_places() -> None:
    places = SendPlaces(places=2, patience=60)
    running = 0
    most = 0
    gate = asyncio.Event()

    async def write() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(places.send(write))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gate.set()
    assert most == 2


async def test_slow_readers_give_their_places_up() -> None:
    places = SendPlaces(places=1, patience=0.01)
    stuck = asyncio.Event()
    sent = asyncio.Event()

    async def slow() -> None:
        await stuck.wait()

    async def fast() -> None:
        sent.set()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(places.send(slow))
        group.create_task(places.send(fast))
        await sent.wait()
        stuck.set()
    await places.send(fast)


async def test_a_place_is_given_back_when_sending_fails() -> None:
    places = SendPlaces(places=1, patience=60)

    async def broken() -> None:
        raise ConnectionError

    for _ in range(3):
        async with asyncio.timeout(5):
            try:
                await places.send(broken)
            except ConnectionError:
                continue


@pytest.mark.fault(11)
async def test_a_client_that_leaves_while_it_is_written_to_ends_its_stream_and_nothing_else() -> None:
    async def gone(_data: bytes) -> None:
        raise ConnectionError("the client is gone")

    node = Node("sidecar", "127.0.0.1", "web")
    stream = ProxyStream(node, Variant.DELTA, gone, ManualClock(), SendPlaces(), NoMetrics())
    stream.retarget(Snapshot())
    stream.receive(DeltaRequest(CLUSTER))
    async with asyncio.timeout(5):
        await stream.run()
