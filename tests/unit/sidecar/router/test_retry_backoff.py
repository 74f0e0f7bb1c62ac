"""How long a retry waits."""

import random

import pytest

from sidecar.config.model import ResetHeader, RetryPolicy
from sidecar.router.retry_backoff import backoff, retry_after
from tests.unit.sidecar.router.test_retry import head


class Highest(random.Random):
    def random(self) -> float:
        return 1.0


def test_back_off_doubles_up_to_its_maximum() -> None:
    waits = [backoff(RetryPolicy(frozenset(("5xx",))), retry, Highest()) for retry in (1, 2, 3, 4, 5, 50)]
    assert waits == [0.025, 0.05, 0.1, 0.2, 0.25, 0.25]


NOW = 1_000_000.9


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ([(b"retry-after", b"2")], 2.0),
        ([(b"retry-after", b"0")], 0.0),
        ([(b"retry-after", b"301")], 0.0),
        ([(b"retry-after", b"300")], 300.0),
        ([(b"retry-after", b"soon")], 0.0),
        ([(b"retry-after", b"2"), (b"retry-after", b"9")], 2.0),
        ([(b"x-reset", b"1000007")], 7.0),
        ([(b"x-reset", b"999999")], 0.0),
        ([(b"retry-after", b"999"), (b"x-reset", b"1000007")], 7.0),
        ([], 0.0),
    ],
)
def test_how_long_a_response_says_to_wait(headers: list[tuple[bytes, bytes]], least: float) -> None:
    fields = (ResetHeader(b"retry-after"), ResetHeader(b"x-reset", timestamp=True))
    policy = RetryPolicy(frozenset({"5xx"}), reset_headers=fields)
    assert retry_after(policy, head(503, *headers), NOW, Highest()) == pytest.approx(least * 1.5)
    assert least <= retry_after(policy, head(503, *headers), NOW, random.Random(1)) <= least * 1.5


@pytest.mark.parametrize(("header", "waits"), [(b"x-seconds", 1.5), (b"x-time", 1.5)])
def test_a_second_is_waited_for(header: bytes, waits: float) -> None:
    fields = (ResetHeader(b"x-seconds"), ResetHeader(b"x-time", timestamp=True))
    value = b"1" if header == b"x-seconds" else b"1000001"
    policy = RetryPolicy(frozenset({"5xx"}), reset_headers=fields)
    assert retry_after(policy, head(503, (header, value)), NOW, Highest()) == waits
