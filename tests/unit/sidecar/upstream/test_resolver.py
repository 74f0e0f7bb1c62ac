"""The resolver on real sockets and both event loops, against a DNS server that answers, fails, dawdles and changes."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from sidecar.config.model import DnsFamily, DnsResolver
from sidecar.upstream.resolver import Resolution, Resolver
from tests.harness.dns_server import NXDOMAIN, SERVFAIL, Answer, ByType, Delay, DnsServer, Drop, Fail, Truncated

V4, V6, AUTO, ALL, PREFERRED = (
    DnsFamily.V4_ONLY,
    DnsFamily.V6_ONLY,
    DnsFamily.AUTO,
    DnsFamily.ALL,
    DnsFamily.V4_PREFERRED,
)
ZONE: dict[str, Any] = {
    "both.test": Answer("127.0.0.1", "127.0.0.2", "::1", ttl=30),
    "v4.test": Answer("127.0.0.1", ttl=7),
    "servfail.test": Fail(SERVFAIL),
    "cut.test": Truncated(Answer("127.0.0.3")),
    "slow.test": Delay(0.05, Answer("127.0.0.4")),
    "half.test": ByType(a=Answer(), aaaa=Fail(SERVFAIL)),
    "other-half.test": ByType(a=Fail(SERVFAIL), aaaa=Answer()),
    "dead.test": Drop(),
}

Loop = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Loop:
    return asyncio.run if request.param == "asyncio" else uvloop.run


def settings(dns: DnsServer, **more: Any) -> DnsResolver:
    return DnsResolver(
        **{"servers": (f"{dns.address}:{dns.port}",), "search": False, "tries": 1, "timeout": 1.0, **more}
    )


async def look_up(resolver: Resolver, name: str, family: DnsFamily = V4) -> Resolution:
    answer: asyncio.Future[Resolution] = asyncio.get_running_loop().create_future()
    resolver.resolve(name, family, answer.set_result)
    assert not answer.done()  # never before the caller is done with what it does
    return await answer


def asked(test: Callable[[DnsServer, Resolver], Awaitable[None]], **more: Any) -> Coroutine[Any, Any, None]:
    """The test's own server and a resolver that asks it."""

    async def whole() -> None:
        async with DnsServer() as dns:
            dns.zone.update(ZONE)
            resolver = Resolver(settings(dns, **more), asyncio.get_running_loop())
            try:
                await test(dns, resolver)
            finally:
                resolver.close()

    return whole()


@pytest.mark.parametrize(
    ("name", "family", "addresses", "questions"),
    [
        ("both.test", V4, ("127.0.0.1", "127.0.0.2"), ["A"]),
        ("both.test", V6, ("::1",), ["AAAA"]),
        ("both.test", AUTO, ("::1",), ["AAAA"]),
        ("both.test", PREFERRED, ("127.0.0.1", "127.0.0.2"), ["A"]),
        ("v4.test", AUTO, ("127.0.0.1",), ["AAAA", "A"]),
        ("v4.test", V6, (), ["AAAA"]),
        ("unknown.test", V4, (), ["A"]),
        ("unknown.test", AUTO, (), ["AAAA", "A"]),
        ("cut.test", V4, ("127.0.0.3",), ["A", "A"]),
        ("slow.test", V4, ("127.0.0.4",), ["A"]),
        ("127.0.0.9", AUTO, ("127.0.0.9",), []),
        ("::9", PREFERRED, ("::9",), []),
        ("localhost", V4, ("127.0.0.1",), []),
    ],
)
def test_names(run: Loop, name: str, family: DnsFamily, addresses: tuple[str, ...], questions: list[str]) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        answer = await look_up(resolver, name, family)
        assert (answer.addresses, answer.error) == (addresses, "")
        assert [kind for _, kind, _ in dns.queries] == questions

    run(asked(test))


def test_all_families(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        answer = await look_up(resolver, "both.test", ALL)
        assert sorted(answer.addresses) == ["127.0.0.1", "127.0.0.2", "::1"]

    run(asked(test))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("servfail.test", V4),
        ("dead.test", V4),
        ("half.test", AUTO),
        ("other-half.test", AUTO),
        ("half.test", PREFERRED),
        ("a" * 70 + ".test", V4),
        ("ü" * 70 + ".test", V4),
        ("a..test", V4),
    ],
)
def test_what_is_a_failure(run: Loop, name: str, family: DnsFamily) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        answer = await look_up(resolver, name, family)
        assert answer.addresses == ()
        assert answer.error

    run(asked(test))


def test_seconds_to_live(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        assert [(await look_up(resolver, name)).ttl for name in ("both.test", "v4.test", "localhost")] == [30, 7, 0]

    run(asked(test))


def test_a_name_is_asked_for_anew_within_its_time_to_live(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        await look_up(resolver, "v4.test")
        dns.zone["v4.test"] = Answer("127.0.0.8", ttl=7)
        assert (await look_up(resolver, "v4.test")).addresses == ("127.0.0.8",)
        dns.zone["v4.test"] = Fail(NXDOMAIN)
        assert await look_up(resolver, "v4.test") == Resolution()
        dns.zone["v4.test"] = Answer("127.0.0.9")
        assert (await look_up(resolver, "v4.test")).addresses == ("127.0.0.9",)
        assert dns.count("v4.test") == 4

    run(asked(test))


@pytest.mark.fault(26)
def test_dead_names_hold_back_nobody(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        names = [f"dead{number}.test" for number in range(100)]
        dns.zone.update(dict.fromkeys(names, Drop()))
        dead = [asyncio.ensure_future(look_up(resolver, name)) for name in names]  # noqa: TID251
        async with asyncio.timeout(0.9):  # less than the time-out of the others
            assert (await look_up(resolver, "v4.test")).addresses == ("127.0.0.1",)
            assert (await look_up(resolver, "v4.test")).addresses == ("127.0.0.1",)
        assert not any(each.done() for each in dead)
        assert {(await each).error != "" for each in dead} == {True}

    run(asked(test))


def test_how_often_a_server_is_tried(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        await look_up(resolver, "servfail.test")
        assert dns.count("servfail.test") == 3

    run(asked(test, tries=3))


def test_tcp_where_it_is_wanted(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        assert (await look_up(resolver, "v4.test")).addresses == ("127.0.0.1",)
        assert {transport for _, _, transport in dns.queries} == {"tcp"}

    run(asked(test, tcp=True))


def test_a_refused_server_is_asked_again_later(run: Loop) -> None:
    async def whole() -> None:
        dns = DnsServer()
        dns.zone.update(ZONE)
        resolver = Resolver(settings(dns), asyncio.get_running_loop())
        assert (await look_up(resolver, "v4.test")).error
        async with dns:
            assert (await look_up(resolver, "both.test")).addresses == ("127.0.0.1", "127.0.0.2")
        resolver.close()

    run(whole())


def test_servers_as_a_fallback(run: Loop) -> None:
    named = any(line.startswith("nameserver") for line in Path("/etc/resolv.conf").read_text().splitlines())

    async def test(dns: DnsServer, resolver: Resolver) -> None:
        await look_up(resolver, "v4.test")
        assert dns.count("v4.test") == (0 if named else 1)

    run(asked(test, servers_as_fallback=True, timeout=0.1))


def test_nobody_is_called_back_after_the_end(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        called: list[Resolution] = []
        for name in ("dead.test", "v4.test", "slow.test"):
            resolver.resolve(name, V4, called.append)
        resolver.close()
        await asyncio.sleep(0.1)
        assert called == []

    run(asked(test))


def test_nothing_is_left_of_look_ups_that_have_ended(run: Loop) -> None:
    async def test(dns: DnsServer, resolver: Resolver) -> None:
        def descriptors() -> set[str]:
            return {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}

        for _ in range(3):
            await look_up(resolver, "v4.test")
        before, threads = len(descriptors()), threading.active_count()
        for _ in range(50):
            await look_up(resolver, "v4.test")
        gc.collect()
        assert len(descriptors()) <= before
        assert threading.active_count() == threads

    run(asked(test))
