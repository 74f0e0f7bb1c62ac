"""What names become, and when: ours beside a real Envoy, each with a DNS server that answers, fails, dawdles and changes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.dns_server import NXDOMAIN, REFUSED, SERVFAIL, Answer, ByType, Drop, Fail, Truncated
from tests.harness.upstream import Upstream
from tests.integration.dns.proxies import SIDES, Proxy, cluster, proxy

ONE, OTHER = "127.0.0.1", "127.0.0.2"
# What happens to a name that had an address, by the name of its cluster.
THEN: dict[str, Any] = {
    "nxdomain": Fail(NXDOMAIN),
    "empty": Answer(),
    "servfail": Fail(SERVFAIL),
    "refused": Fail(REFUSED),
    "moved": Answer(OTHER),
    "more": Answer(ONE, OTHER),
    "same": Answer(ONE),
    "truncated": Truncated(Answer(OTHER)),
    "logical_nxdomain": Fail(NXDOMAIN),
    "logical_empty": Answer(),
    "logical_moved": Answer(OTHER),
    "any_family_loses_v4": ByType(a=Fail(SERVFAIL), aaaa=Answer("::1")),
    "auto_servfail": ByType(a=Fail(SERVFAIL), aaaa=Answer()),
    "auto_v6_servfail": ByType(a=Answer(), aaaa=Fail(SERVFAIL)),
    "auto_v6_servfail_moved": ByType(a=Answer(OTHER), aaaa=Fail(SERVFAIL)),
    "preferred_v6_only": ByType(a=Answer(), aaaa=Answer("::1")),
}
FAMILIES = {"any_family": "ALL", "auto": "AUTO", "preferred": "V4_PREFERRED"}
COUNTERS = ("update_success", "update_failure", "update_empty", "update_no_rebuild")
LOOK_UPS = 3


def clusters(port: int) -> list[dict[str, Any]]:
    found = []
    for name in THEN:
        kind = {"type": "LOGICAL_DNS"} if name.startswith("logical") else {}
        family = next((value for start, value in FAMILIES.items() if name.startswith(start)), "V4_ONLY")
        found.append(cluster(name, f"{name}.test", port=port, dns_lookup_family=family, **kind))
    return found


async def changed(side: Proxy) -> dict[str, Any]:
    """What each cluster has become, and what was counted and asked meanwhile."""
    for name in THEN:
        await side.until_hosts(name, f"{ONE}:{port_of(await side.hosts(name))}")
    for name, then in THEN.items():
        side.dns.zone[f"{name}.test"] = then
    await asyncio.gather(*(side.until_looked_up(name, 1) for name in THEN))  # it may have been under way before
    before = {name: await side.stats(name) for name in THEN}
    await asyncio.gather(*(side.until_looked_up(name, LOOK_UPS) for name in THEN))
    seen: dict[str, Any] = {}
    for name in THEN:
        after = await side.stats(name)
        seen[name] = {
            "hosts": sorted(host.rpartition(":")[0] for host in await side.hosts(name)),
            "moved": [each for each in COUNTERS if after[each] > before[name][each]],
            "status": await side.get(name) if name != "more" else 0,  # that is any of them
        }
    return seen


def port_of(hosts: set[str]) -> str:
    return next(iter(hosts), ":").rpartition(":")[2]


@pytest.mark.fault(27)
async def test_what_an_answer_does_to_the_hosts(tmp_path: Path) -> None:
    async with Upstream() as upstream:
        zone = {f"{name}.test": Answer(ONE) for name in THEN}
        async with AsyncExitStack() as stack:
            both = [
                await stack.enter_async_context(proxy(side, tmp_path, clusters(upstream.port), zone)) for side in SIDES
            ]
            envoys, ours = await asyncio.gather(*(changed(each) for each in both))
    assert ours == envoys
    gone, kept = {"hosts": [], "status": 503}, {"hosts": [ONE], "status": 200}
    for name, wanted in (("nxdomain", gone), ("empty", gone), ("servfail", kept), ("refused", kept)):
        assert ours[name] | wanted == ours[name]


# ── dead names ────────────────────────────────────────────────────────────────────────────────────────────────────────

DEAD = tuple(f"dead{number}.test" for number in range(10))
CHANGES = 3


async def seconds_until_seen(side: Proxy) -> float:
    """How long changes of the healthy name take to be in effect, from a look-up on; together."""
    total = 0.0
    loop = asyncio.get_running_loop()
    for number in range(CHANGES):
        address = f"127.0.0.{number + 2}"
        await side.dns.until_asked("app.test")
        side.dns.zone["app.test"] = side.dns.zone["other.test"] = Answer(address)
        began = loop.time()
        await side.until_hosts("app", f"{address}:80")
        total += loop.time() - began
    return total


@pytest.mark.fault(26)
async def test_ten_dead_names_hold_back_nobody(tmp_path: Path) -> None:
    names = [
        cluster("app", "app.test"),
        cluster("mixed", "other.test", *DEAD[:5]),  # a name's result counts at once, whatever the cluster's others do
        *(cluster(name.partition(".")[0], name) for name in DEAD),
    ]
    took = {}
    for side in SIDES:
        async with proxy(
            side, tmp_path, names, {each: Answer(ONE) for each in ("app.test", "other.test", *DEAD)}
        ) as it:
            await it.until_hosts("dead9", f"{ONE}:80")
            for name in DEAD:
                it.dns.zone[name] = Drop()
            await it.dns.until_asked(*DEAD)
            took[side] = await seconds_until_seen(it)
            await it.until_hosts("mixed", f"{ONE}:80", f"127.0.0.{CHANGES + 1}:80")
            assert await it.hosts("dead3") == {f"{ONE}:80"}
    assert took["ours"] <= 1.5 * took["envoy"], took


@pytest.mark.fault(28)
async def test_v4_only_never_asks_for_v6(tmp_path: Path) -> None:
    zone = {"v4.test": ByType(a=Answer(ONE), aaaa=Drop()), "v6.test": ByType(a=Drop(), aaaa=Answer("::1"))}
    names = [cluster("v4", "v4.test"), cluster("v6", "v6.test", dns_lookup_family="V6_ONLY")]
    for side in SIDES:
        async with proxy(side, tmp_path, names, zone) as it:
            await it.until_hosts("v4", f"{ONE}:80", seconds=2.0)
            await it.until_hosts("v6", "::1:80", seconds=2.0)
            await it.until_looked_up("v4", LOOK_UPS)
            assert {kind for name, kind, _ in it.dns.queries if name == "v4.test"} == {"A"}, side
            assert {kind for name, kind, _ in it.dns.queries if name == "v6.test"} == {"AAAA"}, side


@pytest.mark.fault(27)
async def test_how_often_names_are_asked_for(tmp_path: Path) -> None:
    """Refresh rates, TTLs, the back-off after failures, and a server that is asked four times before it has failed."""
    zone = {
        "often.test": Answer(ONE, ttl=600),
        "ttl.test": Answer(ONE, ttl=600),
        "short.test": Answer(ONE, ttl=1),
        "fails.test": Fail(SERVFAIL),
        "backs-off.test": Fail(SERVFAIL),
    }
    names = [
        cluster("often", "often.test"),
        cluster("ttl", "ttl.test", respect_dns_ttl=True),
        cluster("short", "short.test", respect_dns_ttl=True),
        cluster("fails", "fails.test"),
        cluster("backs-off", "backs-off.test", dns_failure_refresh_rate={"base_interval": "60s"}),
    ]
    for side in SIDES:
        async with proxy(side, tmp_path, names, zone) as it:
            began = asyncio.get_running_loop().time()
            await it.until_looked_up("often", 8)
            asked, seconds = it.dns.counts, asyncio.get_running_loop().time() - began
            assert asked["ttl.test"] == 1, side
            assert asked["backs-off.test"] == 4, side
            assert asked["short.test"] <= seconds + 3, side
            attempts = (await it.stats("fails"))["update_attempt"]
            assert 4 * (attempts - 1) <= asked["fails.test"] <= 4 * (attempts + 1), side


async def test_each_worker_looks_names_up(tmp_path: Path) -> None:
    async with (
        Upstream() as upstream,
        proxy(
            "ours",
            tmp_path,
            [cluster("app", "app.test", port=upstream.port)],
            {"app.test": Answer(ONE)},
            "--concurrency",
            "2",
        ) as it,
    ):
        await it.until_hosts("app", f"{ONE}:{upstream.port}")
        await it.until_looked_up("app", LOOK_UPS)
        assert {await it.get("app") for _ in range(20)} == {200}
        it.dns.zone["app.test"] = Fail(NXDOMAIN)
        await it.until_hosts("app")
        assert {await it.get("app") for _ in range(20)} == {503}
