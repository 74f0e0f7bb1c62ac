"""Tracing."""

from __future__ import annotations

from typing import Any

from sidecar.config.model import (
    Hcm,
    Tracing,
)
from tests.unit.sidecar.config.build import (
    OTEL,
    hcm_of,
    parts,
)


def changed(**hcm: Any) -> Hcm:
    given = parts()
    given.hcm.update(hcm)
    return hcm_of(given)


def test_tracing() -> None:
    http = {"http_uri": {"uri": "http://c/v1/traces", "cluster": "c", "timeout": "1s"}}
    hcm = changed(
        tracing={
            "client_sampling": {"value": 0},
            "random_sampling": {"value": 1.5},
            "overall_sampling": {"value": 50},
            "custom_tags": [
                {"tag": "a", "literal": {"value": "b"}},
                {"tag": "c", "environment": {"name": "HOME"}},
                {"tag": "d", "request_header": {"name": "x-d", "default_value": "y"}},
            ],
            "provider": {"name": "p", "typed_config": {"@type": OTEL, "service_name": "s", "http_service": http}},
        }
    )
    assert hcm.tracing == Tracing(
        0,
        15_000,
        500_000,
        "s",
        "c",
        "http://c/v1/traces",
        (("a", "literal", "b", ""), ("c", "environment", "HOME", ""), ("d", "request_header", "x-d", "y")),
    )
    assert changed(tracing={}).tracing == Tracing()
