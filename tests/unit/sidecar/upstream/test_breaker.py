from __future__ import annotations

import logging

import pytest

from sidecar.upstream.breaker import HostBreaker, log_state


def test_listeners_hear_of_each_change_and_why() -> None:
    heard: list[tuple[str, ...]] = []
    breaker = HostBreaker("up", "10.0.0.1:80", [lambda *said: heard.append(said)])
    assert breaker.state == "closed"
    breaker.open("too many errors")
    assert (breaker.state, breaker.reason) == ("open", "too many errors")
    breaker.close("time is over")
    assert breaker.state == "closed"
    assert heard == [
        ("up", "10.0.0.1:80", "open", "too many errors"),
        ("up", "10.0.0.1:80", "closed", "time is over"),
    ]


def test_an_opened_breaker_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_state("up", "host", "open", "errors")
        log_state("up", "host", "closed", "over")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
