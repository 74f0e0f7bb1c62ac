"""A ServiceEntry whose hosts are looked up as they are asked for: through a sidecar of ours, and an Envoy in its place."""

from __future__ import annotations

import http.client
from contextlib import ExitStack
from pathlib import Path

import pytest

from mesh.node import SIDECAR, Node
from tests.harness.ports import free_network
from tests.integration.cases.backends import servers
from tests.integration.cases.conftest import PROXIES, READY_SECONDS, proxy, ready
from tests.integration.control_plane.support import ControlPlane

EXAMPLE = Path(__file__).parents[3] / "examples" / "dns" / "any-host.yaml"


@pytest.mark.parametrize("whose", PROXIES)
def test_any_host_of_a_domain(whose: str, tmp_path: Path) -> None:
    """`localhost` and what is below it are this machine, to every resolver (RFC 6761)."""
    address = f"{free_network()}.1"
    with ExitStack() as stack:
        backend = stack.enter_context(servers({"v1": "127.0.0.1"}))["v1"]
        plane = stack.enter_context(ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path))
        text = EXAMPLE.read_text().replace("*.example.com", "*.localhost").replace("80", str(backend.server_address[1]))
        answer = plane.apply(text)
        assert answer.status == 200, answer.body
        process = stack.enter_context(proxy(Node(SIDECAR, address, f"client-{whose}"), whose, plane.xds, tmp_path))
        process.wait_ready(lambda: ready(address), READY_SECONDS)
        assert [_get(address, f"{name}.localhost:{backend.server_address[1]}") for name in ("one", "two")] == [200, 200]
        assert _get(address, f"one.elsewhere:{backend.server_address[1]}") == 502  # nobody declared it


def _get(address: str, host: str) -> int:
    connection = http.client.HTTPConnection(address, 15001, timeout=10)
    try:
        connection.request("GET", f"http://{host}/")
        return connection.getresponse().status
    finally:
        connection.close()
