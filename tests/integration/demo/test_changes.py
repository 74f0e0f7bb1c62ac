"""Routing rules that change while traffic flows: how fast, how exactly, and at no request's cost."""

from __future__ import annotations

import time

import pytest
import yaml

from tests.integration.demo.stack import ROOT, Demo, load, more_requests

RULES = ROOT / "examples" / "bookinfo" / "networking"
REVIEWS_PATH = "/api/v1/products/0/reviews"
PAGES = 2000
TOLERANCE = 0.03
CHANGES = 50


def split(first: int) -> str:
    targets = [
        {"destination": {"host": "reviews", "subset": subset}, "weight": weight}
        for subset, weight in (("v1", first), ("v2", 100 - first))
    ]
    return yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "reviews"},
            "spec": {"hosts": ["reviews"], "http": [{"route": targets}]},
        }
    )


@pytest.mark.complaint(14)
def test_a_split_is_in_effect_within_a_second_and_exact(demo: Demo) -> None:
    began = time.monotonic()
    done = demo.mesh("apply", "--wait", "-f", str(RULES / "reviews-90-10.yaml"))
    seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert "in effect on" in done.stdout
    assert float(done.stdout.split(" after ")[1].split()[0]) < 1.0, done.stdout
    assert seconds < 3.0  # with the start of a Python
    with load(demo, REVIEWS_PATH, workers=4) as tally:
        more_requests(tally, PAGES)
    assert not tally.failures
    assert abs(tally.versions["v1"] / tally.requests - 0.9) < TOLERANCE, tally.versions
    assert set(tally.versions) == {"v1", "v2"}


def test_no_request_fails_while_rules_change(demo: Demo) -> None:
    with load(demo) as tally:
        for number in range(CHANGES):
            demo.apply(split(number * 2))
        more_requests(tally, 50)
    assert not tally.failures, tally.failures
    assert tally.versions.keys() >= {"v1", "v2"}


def test_what_is_taken_back_is_gone(demo: Demo) -> None:
    demo.apply(split(100))
    with load(demo, REVIEWS_PATH) as tally:
        more_requests(tally, 60)
    assert set(tally.versions) == {"v1"}
    demo.reset()
    with load(demo, REVIEWS_PATH) as tally:
        more_requests(tally, 60)
    assert set(tally.versions) == {"v1", "v2", "v3"}
