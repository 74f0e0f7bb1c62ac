"""What the mesh says of its decisions, against a running one: explain, why, weights."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from tests.harness.process import wait_until
from tests.integration.demo.stack import Demo, load
from tests.integration.demo.test_commands import RULES

URL = "http://reviews:9080/reviews/0"


def explained(demo: Demo, *words: str) -> dict[str, object]:
    done = demo.mesh("explain", *words, "-o", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("headers", "version"),
    [pytest.param((), "v3", marks=pytest.mark.long), (("-H", "end-user: jason"), "v2")],
)
def test_what_is_explained_is_what_happens(demo: Demo, headers: tuple[str, ...], version: str) -> None:
    demo.apply((RULES / "reviews-jason-v2.yaml").read_text())
    found = explained(demo, URL, "--from", "productpage", *headers)
    assert found["clusters"] == {f"outbound|9080|{version}|reviews.default.svc.cluster.local": 1.0}
    # The product page passes the header on for who is signed in.
    page = demo.get(headers={"end-user": "jason"} if headers else None)
    assert page.version == version


@pytest.mark.long
def test_each_place_is_named_by_resource_and_field(demo: Demo) -> None:
    demo.apply((RULES / "reviews-jason-v2.yaml").read_text())
    done = demo.mesh("explain", URL, "--from", "productpage-v1")
    assert "VirtualService default/reviews spec.http[0].match[0]" in done.stdout
    assert "header end-user is 'jason': the request has none" in done.stdout
    assert "DestinationRule default/reviews spec.subsets[2]" in done.stdout
    assert "reviews-v3, healthy" in done.stdout, done.stderr
    assert "as productpage-v1" in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.long
def test_through_the_gateway(demo: Demo) -> None:
    done = demo.mesh("explain", f"http://{demo.address}:{demo.port}/productpage", "--gateway")
    assert done.stdout.splitlines()[-1] == "→ sent to outbound|9080||productpage.default.svc.cluster.local"


@pytest.mark.long
def test_a_proxy_that_is_not_there(demo: Demo) -> None:
    done = demo.mesh("explain", URL, "--from", "nobody")
    assert done.returncode == 1
    assert "no proxy of nobody is connected" in done.stderr and "productpage-v1" in done.stderr


REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def logged(demo: Demo, *words: str) -> list[str]:
    """The lines, once there are some: proxies write them in batches."""

    def lines() -> list[str]:
        return demo.mesh("logs", *words).stdout.splitlines()

    return wait_until(lines, 30, f"logs {words}")


def test_20_why_did_this_happen(demo: Demo) -> None:
    """Of the complaints: why a request that has happened went where it went."""
    demo.apply((RULES / "reviews-jason-v2.yaml").read_text())
    demo.apply((RULES / "ratings-abort-jason.yaml").read_text())
    demo.get(headers={"end-user": "jason"})
    assert "fault injected, VirtualService default/ratings http[0]" in logged(demo, "reviews-v2", "--status", "500")[-1]
    raw = logged(demo, "reviews-v2", "--status", "500", "--raw")[-1]
    found = REQUEST_ID.search(raw)
    assert found is not None
    request_id = found[0]
    wait_until(lambda: len(json.loads(demo.mesh("why", request_id, "-o", "json").stdout)) == 7, 30, "all hops")
    done = demo.mesh("why", request_id)
    assert done.returncode == 0, done.stderr
    stations = [line for line in done.stdout.splitlines() if line[:1].isdigit()]
    assert stations[0] == "1 istio-ingressgateway" and stations[-1] == "7 reviews-v2"
    assert "header end-user is 'jason'" in done.stdout
    assert "VirtualService default/reviews spec.http[0].match[0]" in done.stdout
    assert done.stdout.count("why           ×") == 1
    assert "flag          × FI: a fault was injected: an answer" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.long
def test_a_request_that_nobody_has_seen(demo: Demo) -> None:
    done = demo.mesh("why", "no-such-id")
    assert done.returncode == 1 and "no proxy has logged a request no-such-id" in done.stderr


@pytest.mark.long
def test_04_a_rule_without_effect_is_seen_in_explain(demo: Demo) -> None:
    """Of the complaints: a rule is silently ignored. A host that nobody asks for changes nothing, and explain says so."""
    rule = (RULES / "reviews-jason-v2.yaml").read_text().replace("  - reviews\n  http", "  - reviews.elsewhere\n  http")
    demo.apply(rule)
    done = demo.mesh("explain", URL, "--from", "productpage")
    assert "no VirtualService is for this host, port and caller" in " ".join(done.stdout.split())


def weights(demo: Demo, *words: str) -> dict[str, Any]:
    done = demo.mesh("weights", "reviews", "--window", "5", "-o", "json", *words)
    assert done.returncode == 0, done.stderr
    (only,) = (split for split in json.loads(done.stdout) if split["caller"] == "productpage-v1")
    return dict(only)


def test_06_shares_are_counted_beside_the_configured_ones(demo: Demo) -> None:
    """Of the demo's own load: few requests, and that is said."""
    demo.apply((RULES / "reviews-90-10.yaml").read_text())
    done = demo.mesh("weights", "reviews", "--window", "2")
    assert done.returncode == 0, done.stderr
    heading, first, second, *rest = done.stdout.splitlines()
    assert heading.split() == ["CALLER", "TO", "CONFIGURED", "OBSERVED", "95", "%", "INTERVAL", "REQUESTS"]
    assert first.split()[:3] == ["productpage-v1", "v1", "90.0%"]
    assert second.split()[:2] == ["v2", "10.0%"]
    assert any("requests are few" in line or "nothing can be said" in line for line in rest)


@pytest.mark.long
def test_06_configured_and_observed_weights(demo: Demo) -> None:
    """Of the complaints: "my 90/10 weights do not work", and nothing tells why."""
    demo.apply((RULES / "reviews-90-10.yaml").read_text())
    with load(demo):
        fair = weights(demo)
    assert [share["configured"] for share in fair["shares"]] == [0.9, 0.1]
    assert fair["requests"] > 20 and fair["as_configured"], fair
    rule = yaml.safe_load((RULES / "reviews-90-10.yaml").read_text())
    everyone = {"uri": {"prefix": "/reviews/0"}}
    in_front = {"match": [everyone], "route": [{"destination": {"host": "reviews", "subset": "v2"}}]}
    rule["spec"]["http"].insert(0, in_front)
    demo.apply(yaml.safe_dump(rule))
    with load(demo):
        shifted = weights(demo, "--from", "productpage-v1")
    assert not shifted["as_configured"] and shifted["shares"][1]["observed"] == 1.0
    why = next(why for why in shifted["reasons"] if "a rule in front" in why)
    assert "path begins with /reviews/0 (VirtualService default/reviews spec.http[0].match[0])" in why


@pytest.mark.long
def test_without_a_split(demo: Demo) -> None:
    done = demo.mesh("weights", "details", "--window", "2")
    assert "no rule splits the requests to details.default.svc.cluster.local" in done.stdout
    done = demo.mesh("weights", "nobody", "--window", "2")
    assert done.returncode == 1 and "no proxy knows a service nobody" in done.stderr
