from __future__ import annotations

from typing import Any

import pytest

from mesh.errors import ConfigError
from sidecar.config.model import MetricChange
from tests.unit.sidecar.config.test_hcm import changed

STATS = "xds.type.v3.TypedStruct"
ROUTER = {
    "name": "router",
    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
}


def stats(**config: Any) -> tuple[MetricChange, ...]:
    typed = {"@type": f"type.googleapis.com/{STATS}", "type_url": "x/stats.PluginConfig", "value": config}
    return changed(http_filters=[{"name": "istio.stats", "typed_config": typed, "is_optional": True}, ROUTER]).metrics


def test_metrics_that_are_other_than_usual() -> None:
    rows = [
        {
            "name": "requests_total",
            "dimensions": {"b": "request.host", "a": "'1'"},
            "tags_to_remove": ["response_flags"],
        },
        {"name": "request_bytes", "drop": True},
    ]
    assert stats(metrics=rows) == (
        MetricChange("requests_total", False, (("a", "'1'"), ("b", "request.host")), frozenset(("response_flags",))),
        MetricChange("request_bytes", True),
    )
    assert stats() == ()


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"metrics": [{"name": "requests"}]}, "typed_config.metrics[0].name: 'requests' is none of requests_total"),
        ({"metrics": [{"name": "requests_total", "match": "x"}]}, "metrics[0].match: is not implemented"),
        (
            {"metrics": [{"name": "requests_total", "dimensions": {"a": "nosuch"}}]},
            "dimensions.a: nosuch is no attribute",
        ),
        ({"metrics": [{"name": "requests_total", "dimensions": ["a"]}]}, "dimensions must be a mapping"),
        ({"metrics": "x"}, "typed_config.metrics: must be a list of metrics"),
        ({"definitions": []}, "typed_config.definitions: is not implemented"),
    ],
)
def test_what_is_wrong_is_told(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        stats(**config)
    assert problem in str(caught.value)
