"""Messages arrive whole, in order, until the other end is gone."""

from __future__ import annotations

import socket

import pytest

from sidecar.workers.channel import Channel, encode


async def ends() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return await Channel.over(one), await Channel.over(other)


async def test_messages_arrive_in_order() -> None:
    here, there = await ends()
    for number in range(100):
        here.send((number, "x" * number * 100))
    here.send_encoded(encode("last"))
    assert [(await there.receive())[0] for _ in range(100)] == list(range(100))
    assert await there.receive() == "last"
    here.close()
    there.close()


@pytest.mark.parametrize("cut", [0, 4, 20])
async def test_the_end_is_told(cut: int) -> None:
    here, there = await ends()
    here.send_encoded(encode("x" * 100)[:cut])
    await here.flush()
    here.close()
    with pytest.raises(EOFError):
        await there.receive()
    there.close()


async def test_what_is_sent_to_nobody_is_lost() -> None:
    here, there = await ends()
    there.close()
    here.close()
    here.send("anything")
