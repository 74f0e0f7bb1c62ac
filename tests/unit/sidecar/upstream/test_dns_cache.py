from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from mesh.tasks import TaskOwner
from sidecar.config.model import DnsCache
from sidecar.telemetry.registry import Stats
from sidecar.upstream.dns_cache import CacheOverflowError, NameCache
from sidecar.upstream.resolver import Resolution


class Answers:
    """A resolver that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Callable[[Resolution], None]]] = []
        self.again = asyncio.Event()

    def resolve(self, name: str, _family: object, done: Callable[[Resolution], None]) -> None:
        self.asked.append((name, done))
        self.again.set()

    def answer(self, resolution: Resolution) -> None:
        self.again.clear()
        self.asked.pop(0)[1](resolution)


def made(**config: Any) -> tuple[NameCache, Answers]:
    resolver = Answers()
    cache = NameCache(DnsCache("c", **config), resolver, asyncio.get_running_loop(), Stats())  # type: ignore[arg-type]
    return cache, resolver


_TASKS = TaskOwner("dns cache")


def _asking(work: Coroutine[Any, Any, tuple[str, ...]]) -> asyncio.Task[tuple[str, ...]]:
    return _TASKS.start(work, "asking")


async def test_one_look_up_for_all_who_ask() -> None:
    cache, resolver = made()
    asking = [_asking(cache.find("a.test")) for _ in range(3)]
    await asyncio.sleep(0)
    assert [name for name, _ in resolver.asked] == ["a.test"]
    assert cache.known("a.test") is None
    resolver.answer(Resolution(("10.0.0.1",), ttl=60))
    assert await asyncio.gather(*asking) == [("10.0.0.1",)] * 3
    assert cache.known("a.test") == ("10.0.0.1",)
    cache.close()


async def test_addresses_are_not_looked_up() -> None:
    cache, resolver = made()
    assert await cache.find("10.0.0.1") == ("10.0.0.1",)
    assert cache.known("::1") == ("::1",)
    assert not resolver.asked


async def test_no_answer_in_time_is_none_and_a_late_one_is_not_heard() -> None:
    cache, resolver = made(query_timeout=0.01)
    assert await cache.find("a.test") == ()
    resolver.answer(Resolution(("10.0.0.1",), ttl=60))
    assert cache.known("a.test") == ()
    cache.close()


async def test_an_error_later_leaves_the_address() -> None:
    cache, resolver = made(min_refresh=0.0, refresh=0.01)
    asking = _asking(cache.find("a.test"))
    await asyncio.sleep(0)
    resolver.answer(Resolution(("10.0.0.1",)))
    assert await asking == ("10.0.0.1",)
    await resolver.again.wait()
    resolver.answer(Resolution(error="nobody answers"))
    assert cache.known("a.test") == ("10.0.0.1",)
    cache.close()


async def test_its_room_is_bounded() -> None:
    cache, resolver = made(max_hosts=1, max_pending=2)
    asking = [_asking(cache.find("a.test")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(CacheOverflowError, match="pending request overflow"):
        await cache.find("a.test")
    resolver.answer(Resolution(("10.0.0.1",), ttl=60))
    await asyncio.gather(*asking)
    with pytest.raises(CacheOverflowError, match="DNS cache overflow"):
        await cache.find("b.test")
    cache.close()


async def test_who_waits_at_the_end_is_let_go() -> None:
    cache, _ = made()
    asking = _asking(cache.find("a.test"))
    await asyncio.sleep(0)
    cache.close()
    assert await asking == ()
