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
        found = stack.enter_context(servers({"v1": "127.0.0.1", "v2": "127.0.0.1"}))
        backend, other = found["v1"], found["v2"].server_address[1]
        plane = stack.enter_context(ControlPlane(f"sqlite://{tmp_path}/mesh.db", tmp_path))
        text = EXAMPLE.read_text().replace("*.example.com", "*.localhost").replace("80", str(backend.server_address[1]))
        answer = plane.apply(f"{text}  - {{number: {other}, name: tls, protocol: TLS}}\n")
        assert answer.status == 200, answer.body
        process = stack.enter_context(proxy(Node(SIDECAR, address, f"client-{whose}"), whose, plane.xds, tmp_path))
        process.wait_ready(lambda: ready(address), READY_SECONDS)
        assert [_get(address, f"{name}.localhost:{backend.server_address[1]}") for name in ("one", "two")] == [200, 200]
        assert _get(address, f"one.elsewhere:{backend.server_address[1]}") == 502  # nobody declared it
        assert _get(address, f"two.localhost:{other}", tunnel=True) == 200


def _get(address: str, host: str, tunnel: bool = False) -> int:
    """The status of a request of the sidecar, or of one that is made through a tunnel of its."""
    connection = http.client.HTTPConnection(address, 15001, timeout=10)
    try:
        if tunnel:
            connection.set_tunnel(host)
        connection.request("GET", "/" if tunnel else f"http://{host}/")
        return connection.getresponse().status
    finally:
        connection.close()
