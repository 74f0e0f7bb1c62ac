"""Each case through our proxy and through Envoy: both do what the case says, and the services see the same of both."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.harness.process import wait_until
from tests.integration.cases.conftest import PROXIES, Stage, log_of
from tests.integration.cases.wire import SECONDS, answer, hello
from tests.simulation.cases import BASE, EDGE_PORT, REFUSED, TLS_PORT, VERSIONS, Case, called

CASES = called()
WORLDS = list(dict.fromkeys(case.world for case in CASES.values()))
PEER_HEADERS = ("x-envoy-peer-metadata", "x-envoy-peer-metadata-id")
# What tells one request from another, or is our sidecar's alone: who is called is told who calls, and spans go on.
VOLATILE = frozenset(
    ("x-request-id", "traceparent", "tracestate", "x-forwarded-for", "x-envoy-external-address", *PEER_HEADERS)
)
WHY = "x-mesh-why"  # what our sidecar tells its own app of its own replies


@dataclass
class Seen:
    """What came of a case's calls."""

    statuses: set[int] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    requests: list[dict[str, str]] = field(default_factory=list)
    answers: list[dict[str, str]] = field(default_factory=list)


def call(stage: Stage, case: Case, whose: str) -> Seen:
    seen = Seen()
    for _ in range(case.times):
        if case.via in ("sidecar", "gateway"):
            request(stage, case, whose, seen)
        else:
            connect(stage, case, whose, seen)
    return seen


def request(stage: Stage, case: Case, whose: str, seen: Seen) -> None:
    address = stage.addresses[(case.via, whose)]
    port, prefix = (15001, f"http://{case.authority}") if case.via == "sidecar" else (case.port or EDGE_PORT, "")
    connection = http.client.HTTPConnection(address, port, timeout=SECONDS)
    try:
        connection.putrequest(case.method, f"{prefix}{case.path}", skip_host=True, skip_accept_encoding=True)
        headers = {"host": case.authority, "x-case": f"{case.name} {whose}", "content-length": "0", **case.headers}
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = response.read()
    except ConnectionError:
        seen.statuses.add(REFUSED)
        seen.answers.append({})
        return
    finally:
        connection.close()
    seen.statuses.add(response.status)
    seen.answers.append({name.lower(): value for name, value in response.getheaders()})
    if response.getheader("x-version") or body.startswith(b'{"version"'):
        said = json.loads(body)
        seen.versions.add(said["version"])
        seen.requests.append({k: v for k, v in said["seen"].items() if k not in VOLATILE})


def connect(stage: Stage, case: Case, whose: str, seen: Seen) -> None:
    """A TLS hello, which the service answers with its version; through a sidecar after a CONNECT."""
    via, port = ("sidecar", 15001) if case.via == "connect" else ("gateway", case.port or TLS_PORT)
    sent = [hello(case.authority.partition(":")[0])]
    if case.via == "connect":
        sent = [f"CONNECT {case.authority} HTTP/1.1\r\nhost: {case.authority}\r\n\r\n".encode(), *sent]
    got = answer(stage.addresses[(via, whose)], port, *sent)
    seen.statuses.add(200 if got else REFUSED)
    seen.answers.append({})
    seen.versions |= {got.decode()} - {""}


IN_WORLDS = sorted(CASES, key=lambda host: (not CASES[host].world, WORLDS.index(CASES[host].world)))


@pytest.mark.parametrize("host", IN_WORLDS, ids=[CASES[host].name for host in IN_WORLDS])
def test_a_case(stage: Stage, host: str) -> None:
    case = CASES[host].on(host)
    stage.enter(case.world)
    found = {whose: call(stage, case, whose) for whose in PROXIES}
    for whose, seen in found.items():
        assert seen.statuses == {case.status}, (whose, seen)
        assert seen.versions == case.versions if case.times > 1 else seen.versions <= case.versions, (whose, seen)
        assert bool(seen.versions) == bool(case.to), (whose, seen)
        for name, value in case.sees.items():
            if name == "mirrored":
                assert_mirrored(stage, f"{case.name} {whose}", set((value or "").split()))
            else:
                assert seen.requests[0].get(name) == value, (whose, seen)
        for name, value in case.gets.items():
            assert seen.answers[0].get(name) == value, (whose, seen)
        if case.logs:
            wait_until(
                lambda whose=whose: case.logs in log_of(stage, case.via, whose), SECONDS, f"{case.logs!r} in a log"
            )
    ours, envoy = (found[whose] for whose in PROXIES)
    if case.times == 1:
        assert [comparable(r) for r in ours.requests] == [comparable(r) for r in envoy.requests]
        assert sorted(set(ours.answers[0]) - {WHY}) == sorted(envoy.answers[0])


def test_nobody_rejects_anything(stage: Stage) -> None:
    """In none of the worlds that the cases above have been called in, nor now."""
    stage.enter(BASE)
    assert stage.rejections + stage.rejected() == []


def comparable(request: dict[str, Any]) -> dict[str, Any]:
    """Without the name of the proxy in it, and the milliseconds that are left of a time-out."""
    return {name: value for name, value in request.items() if name not in ("x-case", "x-envoy-expected-rq-timeout-ms")}


def assert_mirrored(stage: Stage, name: str, versions: set[str]) -> None:
    def seen() -> set[str]:
        return {version for version in VERSIONS if name in stage.backends[version].mirrored}

    wait_until(lambda: seen() >= versions, SECONDS, f"copies at {versions}")
    assert seen() == versions
