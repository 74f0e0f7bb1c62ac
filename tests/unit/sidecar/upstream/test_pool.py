"""The connections to one host: whatever happens in whatever order, the accounts are right and nobody waits for nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.config.model import Address, Limits, Resend
from sidecar.upstream.pool import EagerPool, EagerResendingPool
from tests.harness.stage import ManualLoop, Stage, Wire, assignment, cluster

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
LIMITS = Limits(max_connections=3, max_pending=3, max_requests=4)


async def test_the_connection_used_last_is_used_first(loop: ManualLoop) -> None:
    stage = Stage(loop)
    clients = [stage.client() for _ in range(2)]
    for client in clients:
        client.sends(GET)
    upstreams = [await stage.upstream() for _ in range(2)]
    for upstream in upstreams:
        upstream.sends(OK)
        upstream.received()
    clients[0].sends(GET)
    assert [upstream.received() == b"" for upstream in upstreams] == [True, False]
    await stage.leaves_nothing()


@pytest.mark.parametrize("end", ["eof", "idle", "unasked bytes"])
async def test_a_connection_that_is_about_to_end_is_not_handed_out(loop: ManualLoop, end: str) -> None:
    stage = Stage(loop, clusters=[cluster(idle_timeout=5.0)])
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(OK)
    client.received()
    if end == "eof":
        upstream.ends()
    elif end == "idle":
        loop.now += 5.1
        upstream.protocol.on_deadline(loop.now)  # type: ignore[attr-defined]
    else:
        upstream.sends(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert not upstream.lost  # that comes later, and a request may come before it
    client.sends(GET)
    (await stage.upstream()).sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.leaves_nothing()


async def test_a_connection_with_unsent_bytes_is_not_handed_out(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n")
    upstream = await stage.upstream(high=1000)
    upstream.stops_reading()
    client.sends(b"x" * 5000)
    upstream.sends(OK)
    assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.settle()
    assert upstream.lost
    await stage.leaves_nothing()


async def test_a_host_that_takes_nothing_and_ends_is_gone_at_once(loop: ManualLoop) -> None:
    stage = Stage(loop)
    client = stage.client()
    client.sends(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n")
    upstream = await stage.upstream()
    upstream.stops_reading()
    client.sends(b"x" * 4000)
    upstream.sends(b"HTTP/1.1 413 No\r\n\r\ntoo much")
    upstream.ends()
    await stage.settle()
    assert client.received().endswith(b"8\r\ntoo much\r\n0\r\n\r\n")
    await stage.leaves_nothing()


async def test_so_many_requests_a_connection(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(max_requests_per_connection=2)])
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    upstream.sends(OK)
    client.sends(GET)
    upstream.sends(OK)
    await stage.settle()
    assert upstream.lost
    assert stage.counter("cluster.up.upstream_cx_max_requests") == 1
    await stage.leaves_nothing()


async def test_every_host_may_have_one_connection(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(limits=Limits(max_connections=0))])
    clients = [stage.client() for _ in range(2)]
    for client in clients:
        client.sends(GET)
    upstream = await stage.upstream()
    assert not loop.dials
    assert stage.counter("cluster.up.upstream_cx_overflow") == 2  # the first connection of all is beyond the limit too
    for client in clients:
        upstream.sends(OK)
        assert client.received().startswith(b"HTTP/1.1 200 ")
    await stage.leaves_nothing()


async def test_who_waits_gets_another_connection_when_one_is_lost(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(limits=Limits(max_connections=1))])
    one, other = stage.client(), stage.client()
    one.sends(GET)
    other.sends(GET)
    (await stage.upstream()).resets()
    assert one.received().startswith(b"HTTP/1.1 503 ")
    (await stage.upstream()).sends(OK)
    assert other.received().startswith(b"HTTP/1.1 200 ")
    await stage.leaves_nothing()


async def test_a_dial_that_breaks_down_leaves_the_accounts_right(loop: ManualLoop) -> None:
    stage = Stage(loop)
    stage.client().sends(GET)
    (await stage.dial()).answer.set_exception(RuntimeError("not a network error"))
    await stage.settle()
    assert stage.cluster.budget.connections == 0
    await stage.leaves_nothing()


class Pools(RuleBasedStateMachine):
    """Clients, dials and upstreams act at random; after each act the books are checked."""

    def __init__(self) -> None:
        super().__init__()
        self.events = asyncio.new_event_loop()
        self.loop = ManualLoop()
        self.stage: Stage = self.do(self.build())
        self.clients: list[Wire] = []
        self.upstreams: list[Wire] = []

    async def build(self) -> Stage:
        return Stage(self.loop, clusters=[cluster(limits=LIMITS)])

    def do(self, work: Any) -> Any:
        return self.events.run_until_complete(work)

    async def settled(self, act: Any) -> None:
        result = act()
        if asyncio.iscoroutine(result):
            await result
        await self.stage.settle()
        self.clients = [wire for wire in self.clients if not wire.closing]
        self.upstreams = [wire for wire in self.upstreams if not wire.closing]

    @rule()
    def request(self) -> None:
        client = self.stage.client()
        self.clients.append(client)
        self.do(self.settled(lambda: client.sends(GET)))

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def again(self, data: st.DataObject) -> None:
        self.do(self.settled(lambda: data.draw(st.sampled_from(self.clients)).sends(GET)))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), how=st.sampled_from(["resets", "ends"]))
    def leave(self, data: st.DataObject, how: str) -> None:
        self.do(self.settled(getattr(data.draw(st.sampled_from(self.clients)), how)))

    @precondition(lambda self: self.loop.dials)
    @rule(accept=st.booleans())
    def dial(self, accept: bool) -> None:
        def act() -> None:
            dial = self.loop.dials.popleft()
            if accept:
                self.upstreams.append(dial.accepts())
                self.stage.wires.append(self.upstreams[-1])
            else:
                dial.refuses()

        self.do(self.settled(act))

    @precondition(lambda self: self.upstreams)
    @rule(
        data=st.data(), what=st.sampled_from([OK, OK[:-1], OK.replace(b"con", b"connection: close\r\ncon"), b"?", b"k"])
    )
    def answer(self, data: st.DataObject, what: bytes) -> None:
        self.do(self.settled(lambda: data.draw(st.sampled_from(self.upstreams)).sends(what)))

    @precondition(lambda self: self.upstreams)
    @rule(data=st.data(), how=st.sampled_from(["resets", "ends"]))
    def hang_up(self, data: st.DataObject, how: str) -> None:
        self.do(self.settled(getattr(data.draw(st.sampled_from(self.upstreams)), how)))

    @invariant()
    def the_books_are_right(self) -> None:
        cluster = self.stage.cluster
        [host] = cluster.hosts
        pool, budget = host.pool, cluster.budget
        busy = [each for each in pool.connections if each.handler is not None]
        assert budget.requests == len(busy) <= LIMITS.max_requests
        assert budget.pending == len(pool.waiting) <= LIMITS.max_pending
        assert budget.connections == len(pool.connections) + len(self.loop.dials) <= LIMITS.max_connections
        assert host.active == len(busy) + len(pool.waiting)
        assert host.connections == len(pool.connections) == len(busy) + len(pool.idle)
        assert not (pool.waiting and pool.idle)
        assert not pool.waiting or self.loop.dials or len(busy) == len(pool.connections) > 0
        assert self.stage.counter("http.test.downstream_rq_active") == len(busy) + len(pool.waiting)

    def teardown(self) -> None:
        self.do(self.stage.leaves_nothing())
        self.events.close()


TestPools = Pools.TestCase
TestPools.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)


# ── how long connections live ─────────────────────────────────────────────────────────────────────────────────────────


async def answered(stage: Stage, client: Wire, upstream: Wire) -> None:
    upstream.sends(OK)
    await stage.settle()
    assert client.received().startswith(b"HTTP/1.1 200 ")


async def test_an_old_connection_that_rests_is_closed(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(max_connection_duration=5.0, idle_timeout=0.0)])
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    await answered(stage, client, upstream)
    loop.advance(6.0)
    await stage.settle()
    assert upstream.lost
    assert stage.counter("cluster.up.upstream_cx_max_duration_reached") == 1
    client.sends(GET)
    await answered(stage, client, await stage.upstream())
    await stage.leaves_nothing()


async def test_an_old_connection_in_use_ends_with_its_request(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(max_connection_duration=5.0)])
    client = stage.client()
    client.sends(GET)
    upstream = await stage.upstream()
    loop.advance(6.0)
    await stage.settle()
    assert not upstream.lost
    await answered(stage, client, upstream)
    assert upstream.lost
    assert stage.counter("cluster.up.upstream_cx_max_duration_reached") == 1
    assert stage.counter("cluster.up.upstream_cx_max_requests") == 0
    await stage.leaves_nothing()


@pytest.mark.parametrize("drains", [False, True])
async def test_connections_drain_when_hosts_change(loop: ManualLoop, drains: bool) -> None:
    one, other = Address("10.0.0.1", 80), Address("10.0.0.2", 80)
    stage = Stage(loop, clusters=[cluster(close_on_change=drains, assignment=assignment(one))])
    clients = [stage.client() for _ in range(2)]
    for client in clients:
        client.sends(GET)
    upstreams = [await stage.upstream() for _ in clients]
    await answered(stage, clients[0], upstreams[0])
    stage.upstreams.set_cluster(cluster(close_on_change=drains, assignment=assignment(one), connect_timeout=1.0))
    await stage.settle()
    assert not upstreams[0].lost  # the same hosts
    stage.upstreams.set_cluster(cluster(close_on_change=drains, assignment=assignment(one, other)))
    await stage.settle()
    assert [upstream.lost for upstream in upstreams] == [drains, False]
    await answered(stage, clients[1], upstreams[1])
    assert [upstream.lost for upstream in upstreams] == [drains, drains]
    await stage.leaves_nothing()


# ── made ahead ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("ratio", "dials"), [(1.0, 1), (1.5, 2), (2.0, 2), (3.0, 3)])
async def test_connections_are_made_ahead(loop: ManualLoop, ratio: float, dials: int) -> None:
    stage = Stage(loop, clusters=[cluster(preconnect_ratio=ratio)])
    client = stage.client()
    client.sends(GET)
    await stage.settle()
    assert len(loop.dials) == dials
    upstreams = [await stage.upstream() for _ in range(dials)]
    await stage.settle()
    await answered(stage, client, upstreams[0])
    client.sends(GET)
    await stage.settle()
    assert not loop.dials  # enough of them rest
    await answered(stage, client, upstreams[0])
    await stage.leaves_nothing()


async def test_what_is_made_ahead_stays_within_the_limit(loop: ManualLoop) -> None:
    stage = Stage(loop, clusters=[cluster(preconnect_ratio=3.0, limits=Limits(max_connections=2))])
    client = stage.client()
    client.sends(GET)
    await stage.settle()
    assert len(loop.dials) == 2
    assert stage.counter("cluster.up.upstream_cx_overflow") == 1
    upstreams = [await stage.upstream() for _ in range(2)]
    await stage.settle()
    await answered(stage, client, upstreams[0])
    await stage.leaves_nothing()


async def test_another_kind_of_pool_is_one_of_other_hosts(loop: ManualLoop) -> None:
    stage = Stage(loop)
    before = stage.cluster.hosts[0]
    stage.upstreams.set_cluster(cluster(preconnect_ratio=2.0))
    [host] = stage.cluster.hosts
    assert before.removed
    assert isinstance(host.pool, EagerPool)
    stage.upstreams.set_cluster(cluster(preconnect_ratio=2.5))
    assert stage.cluster.hosts == [host]
    stage.upstreams.set_cluster(cluster(preconnect_ratio=2.5, resend=Resend.ALWAYS))
    assert isinstance(stage.cluster.hosts[0].pool, EagerResendingPool)
