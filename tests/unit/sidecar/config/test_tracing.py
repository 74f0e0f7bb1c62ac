"""Tracing."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.errors import ConfigError
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
                {"tag": "e", "value": "%PROTOCOL%"},
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
        (
            ("a", "literal", "b", ""),
            ("c", "environment", "HOME", ""),
            ("d", "request_header", "x-d", "y"),
            ("e", "value", "%PROTOCOL%", ""),
        ),
    )
    assert changed(tracing={}).tracing == Tracing()


def test_the_request_id_decides_or_not() -> None:
    def of(**config: Any) -> Tracing | None:
        typed = {"@type": "type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", **config}
        return changed(tracing={}, request_id_extension={"typed_config": typed}).tracing

    assert of() == of(use_request_id_for_trace_sampling=True) == Tracing()
    assert of(use_request_id_for_trace_sampling=False) == Tracing(by_request_id=False)


def test_a_format_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="NOSUCH"):
        changed(tracing={"custom_tags": [{"tag": "a", "value": "%NOSUCH%"}]})
