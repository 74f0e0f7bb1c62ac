"""`mesh explain` says what the simulation says: every case, and random rules and calls."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from control_plane.translate import build
from mesh.naming import HTTP_PROXY_ROUTES
from mesh.xds import ROUTE
from sidecar.config.model import Address
from sidecar.explain.given import Call as Explained
from sidecar.explain.given import Given
from sidecar.explain.way import explain
from tests.simulation.cases import BASE, EDGE_PORT
from tests.simulation.evaluator import Call, evaluate
from tests.simulation.scenarios import NODES, scenarios
from tests.simulation.test_cases import CASES, built, status

SCENARIOS = scenarios()
PATHS = ("/", "/retry", "/old/x", "/v1/x", "/r3", "/direct", "/b", "/I/x", "/x?q=1&r=s1")
HOSTS = ("reviews:9080", "reviews", "ratings:9080", "reviews.default:7000", "a.example.com:8080", "unknown.example:80")


def _url(authority: str, path: str, via: str) -> str:
    port = "" if via == "sidecar" or ":" in authority else f":{EDGE_PORT}"
    return f"http://{authority}{port}{path}"


@cache
def given(via: str) -> Given:
    return Given(built(BASE, via))


# Requests that rules tell apart, through the ports that all share, of the mesh as it is.
REQUESTS = {
    host: case
    for host, case in CASES.items()
    if case.rules and case.via in ("sidecar", "gateway") and not case.port and case.world == BASE
}


def every_fourth() -> list[Any]:
    """All cases; three of four where there is time for them."""
    return [
        pytest.param(host, id=case.name, marks=[pytest.mark.long] if number % 4 else [])
        for number, (host, case) in enumerate(REQUESTS.items())
    ]


@pytest.mark.parametrize("host", every_fourth())
def test_a_case(host: str) -> None:
    case = CASES[host].on(host)
    made = built(BASE, case.via)
    config = made[ROUTE][HTTP_PROXY_ROUTES if case.via == "sidecar" else f"http.{EDGE_PORT}"]
    outcome = evaluate(config, Call(f"http://{case.authority}{case.path}", case.method, case.headers))
    headers = (*case.headers.items(), ("host", case.authority))
    call = Explained(case.method, _url(case.authority, case.path, case.via), headers)
    found = explain(given(case.via), call)
    if outcome is None:
        assert found.ends == "answered" and "404 NR" in found.outcome
        return
    assert found.virtual_host == outcome.host
    assert dict(found.clusters) == pytest.approx(dict(outcome.clusters))
    answered = status(outcome)
    if answered:
        assert str(answered) in found.outcome
    tried = [step for step in found.all() if step.station.startswith("rule")]
    assert [step.passed for step in tried] == [False] * (len(tried) - 1) + [True]
    assert all(step.says for step in tried)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("node", ["explicit", "transparent", "gateway"])
def test_what_was_tried_did_not_fit_and_what_is_taken_is_what_the_documents_say(scenario: str, node: str) -> None:
    made = build(SCENARIOS[scenario], NODES[node])
    proxy = Given(made)
    for authority in HOSTS:
        for path in PATHS:
            call = Explained("GET", f"http://{authority}{path}")
            found = explain(proxy, call)
            names = [step.says for step in found.station("routes")]
            if not names or found.ends == "passed":
                continue
            outcome = evaluate(made[ROUTE][names[0]], Call(f"http://{authority}{path}"))
            assert found.virtual_host == ("" if outcome is None else outcome.host) or outcome is None
            assert (outcome is None) == (found.rule < 0)
            if outcome is not None:
                assert dict(found.clusters) == pytest.approx(dict(outcome.clusters))
                assert found.route == outcome.route.name


def test_where_nobody_listens() -> None:
    call = Explained("GET", "http://x:4711/", client=Address("10.0.0.9", 1))
    found = explain(Given(build(next(iter(SCENARIOS.values())), NODES["gateway"])), call)
    assert found.ends == "refused" and "does not listen on port 4711" in found.outcome


def test_a_head_that_is_refused() -> None:
    found = explain(given("gateway"), Explained("GET", f"http://x.example.com:{EDGE_PORT}/a#b"))
    assert found.outcome == "answered 400 (path_normalization_failed)"


def test_a_connection_that_nobody_looks_into() -> None:
    found = explain(
        Given(build(SCENARIOS["everywhere"], NODES["transparent"])), Explained("GET", "http://10.96.0.2:5432/")
    )
    assert found.ends == "passed" and found.clusters == (("outbound|5432||db.default.svc.cluster.local", 1.0),)
