"""What the mesh says of its decisions, against a running one: explain, why, weights."""

from __future__ import annotations

import json

import pytest

from tests.integration.demo.stack import Demo
from tests.integration.demo.test_commands import RULES

URL = "http://reviews:9080/reviews/0"


def explained(demo: Demo, *words: str) -> dict[str, object]:
    done = demo.mesh("explain", *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(("headers", "version"), [((), "v3"), (("-H", "end-user: jason"), "v2")])
def test_what_is_explained_is_what_happens(demo: Demo, headers: tuple[str, ...], version: str) -> None:
    demo.apply((RULES / "reviews-jason-v2.yaml").read_text())
    found = explained(demo, URL, "--from", "productpage", *headers)
    assert found["clusters"] == {f"outbound|9080|{version}|reviews.default.svc.cluster.local": 1.0}
    # The product page passes the header on for who is signed in.
    page = demo.get(headers={"end-user": "jason"} if headers else None)
    assert page.version == version


def test_each_place_is_named_by_resource_and_field(demo: Demo) -> None:
    demo.apply((RULES / "reviews-jason-v2.yaml").read_text())
    done = demo.mesh("explain", URL, "--from", "productpage-v1")
    assert "VirtualService default/reviews spec.http[0].match[0]" in done.stdout
    assert "header end-user is 'jason': the request has none" in done.stdout
    assert "DestinationRule default/reviews spec.subsets[2]" in done.stdout
    assert "reviews-v3, healthy" in done.stdout, done.stderr
    assert "as productpage-v1" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_through_the_gateway(demo: Demo) -> None:
    done = demo.mesh("explain", f"http://{demo.address}:{demo.port}/productpage", "--gateway")
    assert done.stdout.splitlines()[-1] == "→ sent to outbound|9080||productpage.default.svc.cluster.local"


def test_a_proxy_that_is_not_there(demo: Demo) -> None:
    done = demo.mesh("explain", URL, "--from", "nobody")
    assert done.returncode == 1
    assert "no proxy of nobody is connected" in done.stderr and "productpage-v1" in done.stderr
