"""Each lesson's check says what is missing, and is content with what solves it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mesh.istio.load import load
from mesh.lab.lessons import BREAKER, FLAKY, LESSONS, SLOW, Facts, Lesson, Page

BY_NAME = {lesson.name: lesson for lesson in LESSONS}


def pages(**counts: int) -> tuple[Page, ...]:
    return tuple(Page(200, version, version != "none", 0.1) for version, count in counts.items() for _ in range(count))


def rated(good: int, bad: int) -> tuple[tuple[Page, ...], ...]:
    return ((*(Page(200, "v2", True, 0.1),) * good, *(Page(200, "v2", False, 0.1),) * bad),)


def routes(text: str, **route: Any) -> dict[str, list[Any]]:
    document = yaml.safe_load(text)
    document["spec"]["http"][0] |= route
    return {"VirtualService": [document]}


def rule(host: str, annotations: dict[str, str] | None = None, **policy: Any) -> dict[str, list[Any]]:
    return {
        "DestinationRule": [{"metadata": {"annotations": annotations}, "spec": {"host": host, "trafficPolicy": policy}}]
    }


RETRIES = {"retries": {"attempts": 3}}
OUT = {"outlierDetection": {"consecutive5xxErrors": 3, "maxEjectionPercent": 50}}
JASON = ((Page(200, "none", False, 1.2),),)


@pytest.mark.parametrize(
    ("name", "facts", "missing"),
    [
        ("split", Facts((pages(v1=120, v2=30),), {}), ""),
        ("split", Facts((pages(v1=50, v2=50, v3=50),), {}), "only v1 and v2"),
        ("split", Facts((pages(v1=75, v2=75),), {}), "50%"),
        ("headers", Facts((pages(v2=8), pages(v1=8)), {}), ""),
        ("headers", Facts((pages(v1=8), pages(v1=8)), {}), "jason"),
        ("headers", Facts((pages(v2=8), pages(v1=4, v3=4)), {}), "others"),
        ("retries", Facts(rated(58, 2), routes(FLAKY, **RETRIES)), ""),
        ("retries", Facts(rated(36, 24), routes(FLAKY)), "not tried again"),
        ("retries", Facts(rated(36, 24), routes(FLAKY, **RETRIES)), "24 of 60"),
        ("retries", Facts(rated(60, 0), routes(FLAKY, fault=None)), "fault of ratings is gone"),
        ("timeouts", Facts(JASON, routes(SLOW)), ""),
        ("timeouts", Facts(((Page(200, "none", False, 6.2),),), routes(SLOW)), "6.2 s"),
        ("timeouts", Facts(((Page(504, "none", False, 1),),), routes(SLOW)), "fails"),
        ("timeouts", Facts(JASON, {}), "delay of ratings is gone"),
        ("breaker", Facts(rated(10, 10), rule("ratings", {BREAKER: "x"})), ""),
        ("breaker", Facts(rated(10, 10), rule("ratings")), "annotation"),
        ("ejection", Facts((), rule("reviews", **OUT)), ""),
        ("ejection", Facts((), rule("reviews", outlierDetection={"consecutive5xxErrors": 9})), "after 3 errors"),
        ("ejection", Facts((), rule("reviews")), "no DestinationRule of reviews"),
        ("faults", Facts(rated(30, 30), routes(FLAKY)), ""),
        ("faults", Facts(rated(60, 0), {}), "aborts anything"),
        ("faults", Facts(rated(60, 0), routes(FLAKY)), "0 of 60"),
        ("canary", Facts((), {"ExperimentRun": [{"spec": {"record": {"phase": "promoted"}}}]}), ""),
        ("canary", Facts((), {"ExperimentRun": [{"spec": {"record": {"phase": "running"}}}]}), "is running"),
        ("canary", Facts((), {}), "no experiment"),
    ],
)
def test_checks(name: str, facts: Facts, missing: str) -> None:
    found = BY_NAME[name].check(facts)
    assert (missing in found) if missing else found == ""


@pytest.mark.complaint(24)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_what_a_lesson_applies_is_accepted(lesson: Lesson) -> None:
    for text in lesson.setup:
        assert load(text)
    assert lesson.hint and lesson.task and lesson.look


def test_there_are_eight() -> None:
    assert len({lesson.name for lesson in LESSONS}) == 8
