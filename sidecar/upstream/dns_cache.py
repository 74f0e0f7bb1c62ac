"""What a dynamic forward proxy knows of names: addresses that requests asked for, kept while somebody asks again.

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/dynamic_forward_proxy_filter
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from sidecar.config.model import DnsCache
from sidecar.config.reader import is_ip
from sidecar.telemetry.registry import Stats
from sidecar.upstream.resolver import Resolution, Resolver


class CacheOverflowError(Exception):
    """There is no room for another name, or for another request that waits for one."""


class _Name:
    """One name: its last addresses, who waits for the first ones, and when it was last asked for."""

    __slots__ = ("addresses", "answered", "asking", "timer", "used", "waiting")

    def __init__(self, now: float) -> None:
        self.addresses: tuple[str, ...] = ()
        self.answered = False
        self.asking = 0  # numbers the look-ups, so that an answer after its time-out is known
        self.used = now
        self.waiting: list[asyncio.Future[None]] = []
        self.timer: asyncio.TimerHandle | None = None


class NameCache:
    """The names of one cluster. Each is looked up when it is first asked for, and again after the record's time to live,
    until nobody has asked for `host_ttl`."""

    def __init__(
        self,
        config: DnsCache,
        resolver: Resolver,
        loop: asyncio.AbstractEventLoop,
        stats: Stats,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config
        self.resolver = resolver
        self._loop = loop
        self._clock = clock
        self._names: dict[str, _Name] = {}
        self._pending = 0
        counter, prefix = stats.counter, f"dns_cache.{config.name}"
        self._attempts = counter(f"{prefix}.dns_query_attempt")
        self._successes = counter(f"{prefix}.dns_query_success")
        self._failures = counter(f"{prefix}.dns_query_failure")
        self._timeouts = counter(f"{prefix}.dns_query_timeout")
        self._changes = counter(f"{prefix}.host_address_changed")
        self._added = counter(f"{prefix}.host_added")
        self._removed = counter(f"{prefix}.host_removed")
        self._overflows = counter(f"{prefix}.host_overflow")
        self._pending_overflows = counter(f"{prefix}.dns_rq_pending_overflow")

    def known(self, name: str) -> tuple[str, ...] | None:
        """The addresses of a name that has been looked up (none: it has none); None where that is still to be waited for."""
        if is_ip(name):
            return (name,)
        entry = self._names.get(name)
        if entry is None or not entry.answered:
            return None
        entry.used = self._clock()
        return entry.addresses

    async def find(self, name: str) -> tuple[str, ...]:
        """The addresses of a name, looked up if need be. Raises CacheOverflowError."""
        found = self.known(name)
        if found is not None:
            return found
        if self._pending >= self.config.max_pending:
            self._pending_overflows.value += 1
            raise CacheOverflowError("Dynamic forward proxy pending request overflow")
        entry = self._names.get(name) or self._add(name)
        waiting = self._loop.create_future()
        entry.waiting.append(waiting)
        self._pending += 1
        try:
            await waiting
        finally:
            self._pending -= 1
        return entry.addresses

    def close(self) -> None:
        """Nothing is looked up any more; who waits is told that there is no address."""
        for entry in self._names.values():
            if entry.timer is not None:
                entry.timer.cancel()
            _wake(entry)
        self._names.clear()

    def _add(self, name: str) -> _Name:
        if len(self._names) >= self.config.max_hosts:
            self._overflows.value += 1
            raise CacheOverflowError("DNS cache overflow")
        entry = self._names[name] = _Name(self._clock())
        self._added.value += 1
        self._ask(name, entry)
        return entry

    def _ask(self, name: str, entry: _Name) -> None:
        self._attempts.value += 1
        entry.asking += 1
        asked = entry.asking
        entry.timer = self._loop.call_later(self.config.query_timeout, self._timed_out, name, entry, asked)
        self.resolver.resolve(name, self.config.family, lambda found: self._answered(name, entry, asked, found))

    def _timed_out(self, name: str, entry: _Name, asked: int) -> None:
        self._timeouts.value += 1
        self._answered(name, entry, asked, Resolution(error="no answer in time"))

    def _answered(self, name: str, entry: _Name, asked: int, found: Resolution) -> None:
        if asked != entry.asking or self._names.get(name) is not entry:
            return
        entry.asking += 1  # a later answer to the same question is none any more
        if entry.timer is not None:
            entry.timer.cancel()
        wait = self.config.refresh
        if found.addresses:
            self._successes.value += 1
            self._changes.value += entry.addresses != found.addresses
            entry.addresses = found.addresses
            if found.ttl:
                wait = max(float(found.ttl), self.config.min_refresh)
        else:
            self._failures.value += 1
        entry.answered = True
        _wake(entry)
        entry.timer = self._loop.call_later(wait, self._again, name, entry)

    def _again(self, name: str, entry: _Name) -> None:
        if self._clock() - entry.used > self.config.host_ttl:
            del self._names[name]
            self._removed.value += 1
        else:
            self._ask(name, entry)


def _wake(entry: _Name) -> None:
    waiting, entry.waiting = entry.waiting, []
    for each in waiting:
        if not each.done():
            each.set_result(None)
