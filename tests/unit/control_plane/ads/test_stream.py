from __future__ import annotations

import asyncio

from control_plane.ads.stream import SendPlaces


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
