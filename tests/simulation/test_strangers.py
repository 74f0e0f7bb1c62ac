"""What a stranger says about himself does not reach anybody: not through any connection manager that we configure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from control_plane.translate import build
from mesh.xds import LISTENER
from sidecar.config.listeners import compile_listener
from sidecar.config.model import Hcm
from tests.harness.stage import Stage, hcm, manual_clock
from tests.simulation.scenarios import NODES, scenarios

CLAIMS = (
    b"x-forwarded-client-cert: By=spiffe://a;URI=spiffe://b",
    b"x-envoy-force-trace: 1",
    b"x-envoy-internal: true",
    b"x-envoy-original-url: http://o/",
    b"x-envoy-retry-on: 5xx",
    b"x-envoy-ip-tags: a",
    b"x-envoy-upstream-rq-timeout-ms: 1",
)
SCENARIOS = scenarios()


def connection_managers(scenario: str, node: str) -> Iterator[tuple[str, Hcm]]:
    for message in build(SCENARIOS[scenario], NODES[node])[LISTENER].values():
        listener = compile_listener(message)
        for chain in (*listener.chains, *([listener.default_chain] if listener.default_chain else ())):
            if isinstance(chain.network, Hcm):
                yield f"{listener.name} {chain.name}", chain.network


@pytest.mark.fault(1)
@pytest.mark.parametrize("node", ["explicit", "transparent", "client", "gateway"])
async def test_claims_of_strangers_end_at_the_first_proxy(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        (where, manager.use_remote_address): manager
        for scenario in SCENARIOS
        for where, manager in connection_managers(scenario, node)
    }
    assert found
    for where, manager in found.items():
        routed = replace(manager, routes=hcm().routes, rds="", access_logs=(), filters=(), tracing=None)
        with manual_clock(monkeypatch) as loop:
            stage = Stage(loop, routed)
            client = stage.client()
            client.sends(b"\r\n".join((b"GET / HTTP/1.1", b"host: a", *CLAIMS)) + b"\r\n\r\n")
            upstream = await stage.upstream()
            sent = upstream.received()
            assert not [claim for claim in CLAIMS if claim.split(b":")[0] + b":" in sent], where
            upstream.sends(b"HTTP/1.1 204 No Content\r\n\r\n")
            await stage.leaves_nothing()
