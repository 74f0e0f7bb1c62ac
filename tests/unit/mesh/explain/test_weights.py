"""Configured against observed shares."""

from __future__ import annotations

import random

import pytest

from mesh.explain.weights import Share, Split, agrees, intervals, needed, reasons, table, verdict, wilson


def split(v1: int, v2: int, **more: object) -> Split:
    return Split("productpage-v1", (Share("v1", 0.9, v1), Share("v2", 0.1, v2)), **more)  # type: ignore[arg-type]


def test_wilsons_interval() -> None:
    """Of Wilson's formula, by hand: 10 of 100, z = 1.96."""
    found = wilson(10, 100)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0552, 0.1744)
    assert wilson(0, 20).low == 0.0 and 0.15 < wilson(0, 20).high < 0.17
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


def test_it_holds_as_often_as_it_says() -> None:
    draw = random.Random(7)
    held = sum(0.1 in wilson(sum(draw.random() < 0.1 for _ in range(200)), 200) for _ in range(2000))
    assert 0.93 < held / 2000 < 0.98


def test_06_weights_that_seem_not_to_work() -> None:
    """Of the complaints: "my 90/10 weights do not work", and nothing tells why."""
    assert verdict(split(1795, 205)) == "as configured"
    assert verdict(split(500, 500)) == "not as configured" and not agrees(split(500, 500))
    few = split(6, 4)
    assert verdict(few) == "not as configured"
    assert verdict(split(8, 2)) == "as configured, as far as so few requests can tell"
    assert any("10 requests are few" in why for why in reasons(few))
    assert verdict(split(0, 0)) == "no requests in this time: nothing can be said"


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (split(900, 100, decided_by="x-user"), "not drawn by chance: x-user decides"),
        (split(900, 100, in_front=("header a is there",)), "a rule in front takes some of the requests: header a"),
        (split(900, 100, others=2), "2 more of the caller's rules go to the same clusters"),
        (split(900, 100, connections=True), "connections are split, not requests"),
        (split(900, 100, notes=("17 requests came from callers without a proxy",)), "17 requests came from"),
    ],
)
def test_reasons(found: Split, says: str) -> None:
    (only,) = reasons(found)
    assert only.startswith(says)


def test_hosts_and_retries_are_reasons() -> None:
    shares = (Share("v1", 0.5, 1000, 300), Share("v2", 0.5, 0, 0, "1 of 1 endpoints are out of use"))
    ejected, retried = reasons(Split("a", shares))
    assert ejected == "v2 takes no requests: 1 of 1 endpoints are out of use"
    assert retried.startswith("300 retries came on top of 1000 requests")


def test_several_shares_hold_together() -> None:
    three = Split("a", (Share("v1", 0.4, 400), Share("v2", 0.3, 300), Share("v3", 0.3, 300)))
    assert all(
        found.margin > wilson(share.requests, 1000).margin
        for share, found in zip(three.shares, intervals(three), strict=True)
    )
    assert agrees(three)
    assert needed(three) == 369


def test_as_a_table() -> None:
    assert table([split(90, 10), split(0, 0)]) == [
        ["productpage-v1", "v1", "90.0%", "90.0%", "82.6% - 94.5%", "90"],
        ["", "v2", "10.0%", "10.0%", "5.5% - 17.4%", "10"],
        ["productpage-v1", "v1", "90.0%", "-", "-", "0"],
        ["", "v2", "10.0%", "-", "-", "0"],
    ]
