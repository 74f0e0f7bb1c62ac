"""Differences between answers, and the noise that they hide in."""

from __future__ import annotations

import json
import random
from typing import Any

from mesh.shadow.compare import ABSENT, MOST_FIELDS, REDACTED, Answer, Comparison

NOISY = [f"noise{index}" for index in range(20)]


def answer(chance: random.Random, candidate: bool = False, number: int = 0) -> Answer:
    """Twenty fields that are new in each answer, some of them seldom; three that the candidate gets wrong."""
    body: dict[str, Any] = {
        name: chance.random() if index < 10 or chance.random() < 0.1 else 0 for index, name in enumerate(NOISY)
    }
    body["id"] = number
    body["price"] = 10 if not candidate else 11
    body["reviews"] = [{"stars": 5}, {"stars": 4 if not candidate or number % 3 else 3}]
    if not candidate:
        body["color"] = "red"
    return Answer(200, {"content-type": "application/json", "date": str(chance.random())}, json.dumps(body).encode())


def test_three_planted_differences_are_found_among_twenty_noisy_fields_and_no_noise() -> None:
    for seed in range(5):
        chance, comparison = random.Random(seed), Comparison(headers=("date", "content-type"))
        for number in range(300):
            comparison.add(answer(chance, number=number), answer(chance, number=number), answer(chance, True, number))
        assert {each.name for each in comparison.differences()} == {"body.price", "body.color", "body.reviews[1].stars"}
        assert set(comparison.noisy()) == {f"body.{name}" for name in NOISY} | {"header date"}
        examples = {each.name: each.examples[0] for each in comparison.differences()}
        assert examples["body.price"] == ("10", "11")
        assert examples["body.color"] == ("red", ABSENT)


def test_equal_versions_have_no_differences_however_often_one_looks() -> None:
    chance, comparison = random.Random(7), Comparison(headers=("date",))
    for number in range(300):
        comparison.add(*(answer(chance, number=number) for _ in range(3)))
        if number % 10 == 0:
            assert comparison.differences() == []


def test_statuses_and_other_bodies() -> None:
    comparison = Comparison()
    for _ in range(50):
        comparison.add(Answer(200, {}, b"hello"), Answer(200, {}, b"hello"), Answer(500, {}, b"oops"))
    assert {each.name: each.examples[0] for each in comparison.differences()} == {
        "status": ("200", "500"),
        "body": ("hello", "oops"),
    }


def test_what_is_redacted_is_compared_and_not_shown() -> None:
    comparison = Comparison(headers=("set-cookie",), redact=("token", "set-cookie"))
    old = Answer(200, {"set-cookie": "a"}, b'{"user":{"token":"secret"}}')
    new = Answer(200, {"set-cookie": "b"}, b'{"user":{"token":"other"}}')
    for _ in range(50):
        comparison.add(old, old, new)
    assert [each.examples[0] for each in comparison.differences()] == [(REDACTED, REDACTED)] * 2


def test_what_is_held_is_bounded() -> None:
    comparison = Comparison()
    for number in range(30):
        bodies = [json.dumps({f"k{number}-{index}": index for index in range(100)}).encode()] * 3
        comparison.add(*(Answer(200, {}, body) for body in bodies))
    assert len(comparison.fields) <= MOST_FIELDS + 1
    deep = b"[" * 5000 + b"]" * 5000
    comparison.add(*(Answer(200, {}, deep) for _ in range(3)))
