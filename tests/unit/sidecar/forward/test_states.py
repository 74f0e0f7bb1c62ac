"""Clients and upstreams that do anything at any moment: no answer is another request's, and nothing is left."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.config.model import Limits, RetryPolicy
from sidecar.process.drain import DrainPolicy
from tests.harness.stage import Stage, Wire, cluster, forward, hcm, manual_clock

ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n(.*?)\r\n\r\n", re.DOTALL)
ID = re.compile(rb"^\w+ /(\d+)")
RETRY = RetryPolicy(frozenset({"connect-failure", "reset"}), attempts=1, base_interval=0.01)


class Conversation(RuleBasedStateMachine):
    """Requests carry a number, and upstreams answer with the number that they were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        patch = self.stack.enter_context(pytest.MonkeyPatch.context())
        self.loop = self.stack.enter_context(manual_clock(patch))
        self.runner = self.stack.enter_context(asyncio.Runner())
        config = hcm(forward(RETRY, timeout=20.0), idle_timeout=30.0, request_headers_timeout=5.0)
        limits = Limits(3, 2, 10, 3)
        self.stage = self.runner.run(self._stage(config, limits))
        self.clients: list[Wire] = []
        self.asked: dict[int, list[int]] = {}  # by client: numbers, in order
        self.heard: dict[int, bytes] = {}
        self.upstreams: list[Wire] = []
        self.unanswered: dict[int, bytes] = {}  # by upstream: what it received and did not answer
        self.numbers = 0

    async def _stage(self, config: object, limits: Limits) -> Stage:
        return Stage(self.loop, config, (cluster(limits=limits),))  # type: ignore[arg-type]

    def do(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """On the loop, as everything is that happens to a connection."""

        async def act_there() -> Any:
            return act(*arguments)

        return self.runner.run(act_there())

    def settle(self) -> None:
        self.runner.run(self.stage.settle())
        while self.loop.dials:
            wire = self.do(self.loop.dials.popleft().accepts)
            self.stage.wires.append(wire)
            self.upstreams.append(wire)
            self.unanswered[len(self.upstreams) - 1] = b""
            self.runner.run(self.stage.settle())
        for at, wire in enumerate(self.upstreams):
            self.unanswered[at] += wire.received()
        for at, wire in enumerate(self.clients):
            self.heard[at] += wire.received()

    # ── what clients do ───────────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.clients) < 8)
    @rule()
    def client_comes(self) -> None:
        self.clients.append(self.do(self.stage.client))
        self.asked[len(self.clients) - 1] = []
        self.heard[len(self.clients) - 1] = b""

    def alive(self) -> list[int]:
        return [at for at, wire in enumerate(self.clients) if not wire.lost and not wire.closing]

    @precondition(lambda self: self.alive())
    @rule(data=st.data(), body=st.sampled_from([b"", b"x", b"x" * 5000]), chunked=st.booleans())
    def client_asks(self, data: st.DataObject, body: bytes, chunked: bool) -> None:
        at = data.draw(st.sampled_from(self.alive()))
        self.numbers += 1
        self.asked[at].append(self.numbers)
        head = b"POST /%d HTTP/1.1\r\nhost: a\r\n" % self.numbers
        if chunked:
            framed = head + b"transfer-encoding: chunked\r\n\r\n"
            framed += (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        else:
            framed = head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
        cut = data.draw(st.integers(1, len(framed)))
        for piece in (framed[:cut], framed[cut:]):
            if piece and not self.clients[at].lost:
                self.do(self.clients[at].sends, piece)
                self.settle()

    @precondition(lambda self: self.alive())
    @rule(data=st.data())
    def client_leaves(self, data: st.DataObject) -> None:
        self.do(self.clients[data.draw(st.sampled_from(self.alive()))].resets)
        self.settle()

    # ── what upstreams do ─────────────────────────────────────────────────────────────────────────────────────────────

    def busy(self) -> list[int]:
        return [at for at, wire in enumerate(self.upstreams) if not wire.lost and ID.search(self.unanswered[at])]

    @precondition(lambda self: self.busy())
    @rule(data=st.data(), kind=st.sampled_from(["length", "chunked", "close", "half"]))
    def upstream_answers(self, data: st.DataObject, kind: str) -> None:
        at = data.draw(st.sampled_from(self.busy()))
        match = ID.search(self.unanswered[at])
        assert match is not None
        number = match[1]
        self.unanswered[at] = b""
        head = b"HTTP/1.1 200 OK\r\nx-number: %b\r\n" % number
        wire = self.upstreams[at]
        if kind == "chunked":
            self.do(wire.sends, head + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
        elif kind == "close":
            self.do(wire.sends, head + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        else:
            self.do(wire.sends, head + b"content-length: 4\r\n\r\n" + (b"body" if kind == "length" else b"bo"))
            if kind == "half" and not wire.lost:
                self.do(wire.resets)
        self.settle()

    @precondition(lambda self: any(not wire.lost for wire in self.upstreams))
    @rule(data=st.data())
    def upstream_leaves(self, data: st.DataObject) -> None:
        at = data.draw(st.sampled_from([at for at, wire in enumerate(self.upstreams) if not wire.lost]))
        self.do(self.upstreams[at].resets)
        self.settle()

    # ── time, drains ──────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(seconds=st.sampled_from([0.02, 1.0, 6.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.runner.run(self.stage.advance(seconds))
        self.settle()

    @rule(failing=st.booleans())
    def health_changes(self, failing: bool) -> None:
        self.do(self.stage.manager.fail, failing)

    @rule()
    def drain_begins(self) -> None:
        self.do(self.stage.manager.drain, DrainPolicy(10.0, clock=lambda: self.loop.now).begin())

    @rule()
    def everybody_is_cut_off(self) -> None:
        self.do(self.stage.manager.cut_off, "downstream_local_disconnect(test)")
        self.settle()

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def answers_are_their_requests(self) -> None:
        for at, heard in self.heard.items():
            answers = ANSWER.findall(heard)
            asked = self.asked[at]
            for index, (_, headers) in enumerate(answers):
                number = re.search(rb"x-number: (\d+)", headers)
                if number is not None:
                    assert int(number[1]) == asked[index], (answers, asked)

    def teardown(self) -> None:
        try:
            self.runner.run(self.stage.leaves_nothing())
        finally:
            self.stack.close()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
