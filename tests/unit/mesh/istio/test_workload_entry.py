from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mesh.istio.documents import accepted, refused


def test_values_and_defaults() -> None:
    entry = accepted("WorkloadEntry", {"address": "vm.example.com", "serviceAccount": "details"})
    assert (entry.address, entry.ports, entry.labels, entry.locality, entry.weight) == ("vm.example.com", {}, {}, "", 0)
    assert accepted("WorkloadEntry", {"address": "::1", "locality": "r/z"}).locality == "r/z"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "address: is required"),
        ({"address": ""}, "address: must be an IP address or a DNS name"),
        ({"address": "a b"}, "address: must be an IP address or a DNS name"),
        ({"address": "*.x.com"}, "address: must be an IP address or a DNS name"),
        ({"address": "unix:///run/app"}, "address: Unix domain sockets are known to Istio, not implemented yet"),
        ({"address": "::1", "ports": {"http": 0}}, "ports.http: must be a port number"),
        ({"address": "::1", "ports": {"a b": 1}}, 'ports["a b"]: "a b" is not the name of a port'),
        ({"address": "::1", "locality": "a//b"}, "locality: must be region, region/zone or region/zone/subzone"),
        ({"address": "::1", "locality": "a/b/c/d"}, "locality: must be region"),
        ({"address": "::1", "weight": -1}, "weight: must be at least 0"),
        ({"address": "::1", "network": "n"}, "network: known to Istio, not implemented yet"),
    ],
)
def test_what_is_refused(spec: Any, expected: str) -> None:
    (found,) = refused("WorkloadEntry", spec)
    assert expected in found
