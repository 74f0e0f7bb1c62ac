"""Limits of requests and faults that are placed beside the service: its sidecar, ours or an Envoy, carries them out, and
the caller's sees them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mesh.node import SIDECAR, Node, ServicePort
from tests.harness.process import http_get
from tests.integration.cases.conftest import PROXIES, READY_SECONDS, Stage, proxy, ready
from tests.integration.cases.test_cases import call
from tests.simulation.cases import Case

RULES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}]
  http:
  - match: [{{uri: {{prefix: /abort}}}}]
    fault: {{at: upstream, abort: {{httpStatus: 503, percentage: {{value: 100}}}}}}
    retries: {{attempts: 2, retryOn: 5xx, backoff: 1ms}}
    route: [{{destination: {{host: {name}}}}}]
  - match: [{{uri: {{prefix: /delay}}}}]
    fault: {{at: upstream, delay: {{fixedDelay: 5s, percentage: {{value: 100}}}}}}
    timeout: 200ms
    route: [{{destination: {{host: {name}}}}}]
  - match: [{{uri: {{prefix: /before}}}}]
    fault: {{delay: {{fixedDelay: 400ms, percentage: {{value: 100}}}}}}
    timeout: 200ms
    route: [{{destination: {{host: {name}}}}}]
  - route: [{{destination: {{host: {name}}}}}]
---
apiVersion: mesh.asyncmesh.io/v1alpha1
kind: RateLimit
metadata: {{name: {name}}}
spec:
  host: {name}
  limits: [{{name: few, match: [{{uri: {{prefix: /few}}}}], requests: 2, per: 60s}}]
---
apiVersion: mesh.asyncmesh.io/v1alpha1
kind: RateLimit
metadata: {{name: {name}-dry}}
spec:
  host: {name}
  dryRun: true
  limits: [{{name: dry, match: [{{uri: {{prefix: /dry}}}}], requests: 1, per: 60s}}]
"""


@pytest.fixture(scope="module")
def served(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The address of the sidecar of the service `by-ours`, and of `by-envoy`."""
    folder: Path = tmp_path_factory.mktemp("served")
    network = stage.addresses[("sidecar", "ours")].rpartition(".")[0]
    host, port = stage.backends["v1"].server_address[:2]
    found = {}
    with ExitStack() as stack:
        for number, whose in enumerate(PROXIES):
            address = f"{network}.{30 + number}"
            node = Node(SIDECAR, address, f"by-{whose}-1", service=f"by-{whose}", app_address=str(host),
                        labels={"app": f"by-{whose}"}, ports=(ServicePort(80, target=port),))  # fmt: skip
            process = stack.enter_context(proxy(node, whose, stage.plane.xds, folder))
            process.wait_ready(lambda address=address: ready(address), READY_SECONDS)
            found[whose] = address
        text = "---".join(RULES.format(name=f"by-{whose}") for whose in PROXIES)
        answer = stage.plane.apply(text, "rules.yaml")
        assert answer.status == 200, answer.body
        done = stage.plane.call("GET", f"/api/v1/convergence/{answer.body['revision']}?timeout=15").body
        assert done["state"] == "converged", done
        yield found


def status(stage: Stage, whose: str, path: str) -> set[int]:
    """Of a call from our sidecar to the service beside `whose` proxy."""
    return call(stage, Case(path, path=path, authority=f"by-{whose}"), "ours").statuses


def counted(address: str, name: str) -> int:
    """The sum of the counters of a proxy whose names end so."""
    lines = http_get(15000, "/stats", address)[1].splitlines()
    return sum(int(line.rpartition(": ")[2]) for line in lines if line.partition(": ")[0].endswith(name))


@pytest.mark.complaint(10)
@pytest.mark.parametrize("whose", PROXIES)
def test_retries_see_a_fault_beyond_the_router(stage: Stage, served: dict[str, str], whose: str) -> None:
    before = counted(served[whose], "fault.aborts_injected")
    assert status(stage, whose, "/abort") == {503}
    assert counted(served[whose], "fault.aborts_injected") == before + 3
    assert status(stage, whose, "/other") == {200}


@pytest.mark.parametrize("whose", PROXIES)
def test_time_outs_see_a_delay_beyond_the_router(stage: Stage, served: dict[str, str], whose: str) -> None:
    began = time.monotonic()
    assert status(stage, whose, "/delay") == {504}
    assert time.monotonic() - began < 4
    assert status(stage, whose, "/before") == {200}  # in Envoy's own place a time-out does not


@pytest.mark.parametrize("whose", PROXIES)
def test_requests_over_a_limit_are_refused(stage: Stage, served: dict[str, str], whose: str) -> None:
    assert [status(stage, whose, "/few") for _ in range(4)] == [{200}, {200}, {429}, {429}]
    assert status(stage, whose, "/more") == {200}


@pytest.mark.complaint(12)
@pytest.mark.parametrize("whose", PROXIES)
def test_a_dry_run_counts_what_it_would_refuse(stage: Stage, served: dict[str, str], whose: str) -> None:
    limited, enforced = "http_local_rate_limit.rate_limited", "http_local_rate_limit.enforced"
    before = counted(served[whose], limited), counted(served[whose], enforced)
    assert [status(stage, whose, "/dry") for _ in range(3)] == [{200}] * 3
    assert (counted(served[whose], limited), counted(served[whose], enforced)) == (before[0] + 2, before[1])
