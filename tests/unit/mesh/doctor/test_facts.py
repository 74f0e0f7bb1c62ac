"""The machine that the tests run on is asked."""

from __future__ import annotations

import socket

import pytest

from mesh.doctor.facts import gather


def test_a_port_that_is_taken_and_one_that_is_not() -> None:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        taken, free = one.getsockname()[1], other.getsockname()[1]
        one.listen(1)
        other.close()
        assert gather((taken, free)).taken == (taken,)


def test_what_is_so_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    facts = gather(())
    assert facts.loopback == ""  # the tests use such addresses
    assert facts.localhost
    assert facts.descriptors > 0
    assert facts.environment["http_proxy"] == "http://127.0.0.1:1"
    assert facts.iptables or facts.chains is None
