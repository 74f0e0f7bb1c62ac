"""Reasons are of what is refused, and the kinds that people paste from elsewhere have one for each row."""

from __future__ import annotations

import pytest

from mesh.istio.reasons import WHY, reason
from mesh.istio.refused import REFUSED

COMPLETE = (
    "MeshConfig", "MeshProxyConfig", "ExtensionProvider", "OpenTelemetryTracingProvider", "HttpService", "GrpcService",
    "ProxyTracing", "ProxyHeaders", "GatewayTopology", "Telemetry", "Tracing", "MetricSelector", "EnvoyFilter",
    "ConfigPatch", "ObjectMatch", "ListenerMatch", "RouteConfigurationMatch", "ProxyConfig",
)  # fmt: skip


def test_reasons_are_of_what_is_refused() -> None:
    rows = [
        f"{message}.{row}" for message, found in WHY.items() for row in found if row not in REFUSED.get(message, ())
    ]
    assert rows == []


@pytest.mark.parametrize("message", COMPLETE)
def test_each_row_says_why(message: str) -> None:
    assert [row for row in REFUSED.get(message, ()) if not reason(message, row)] == []
